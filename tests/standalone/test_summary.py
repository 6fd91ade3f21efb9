"""The table of Services: its text, column by column."""

from __future__ import annotations

from userproxy.standalone.summary import ServiceRow, services_table


def test_rows_are_sorted_and_columns_fit() -> None:
    rows = [
        ServiceRow("kube-system", "dns", "10.96.0.10", "53/TCP", "10.96.0.10:53"),
        ServiceRow(
            "default",
            "my-service",
            "10.96.163.26",
            "80/TCP",
            "10.96.163.26:80",
            tuple(f"10.0.0.{n}:80" for n in range(5)),
        ),
    ]
    assert services_table(rows) == (
        "NAMESPACE     NAME         CLUSTER-IP     PORT(S)   ADDRESS           ENDPOINTS\n"
        "default       my-service   10.96.163.26   80/TCP    10.96.163.26:80   "
        "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more...\n"
        "kube-system   dns          10.96.0.10     53/TCP    10.96.0.10:53     <none>\n"
    )


def test_no_rows() -> None:
    assert services_table([]) == "No resources found\n"
