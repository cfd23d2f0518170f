from .counting import counted, lines, take


def test_each_fault_is_counted_once_by_kind_and_outcome():
    kept = take()
    for name, outcome in (("a", "refused"), ("b", "repaired"), ("c", "refused"), ("a", "refused")):
        counted("bad input", name, outcome)
    counted("kill", "1", "finished")
    assert lines(take()) == ["bad input      3  2 refused, 1 repaired", "kill           1  1 finished"]
    assert not take()
    for fault in kept:
        counted(fault.kind, fault.name, fault.outcome)
