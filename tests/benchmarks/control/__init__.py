"""The benchmark of the control side: `userproxy run` as it is, with many Services, in a network namespace of its own.

`scenario` tells the story; `generated_api` and `standalone_api` are the API servers, `address_server` is all endpoints.
"""
