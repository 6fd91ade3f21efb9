"""The pure core: table, topology, balancer, plan, rules as text, health verdict.

Functions on values. No asyncio, socket, os, subprocess, time, random or logging: clocks and randomness are arguments.
"""
