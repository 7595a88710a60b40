"""scan_jump on the add-primitive split: "jump" is trained on alone, and tested in every construction."""

from dataclasses import replace

from scan_jump import experiments as simple

from odeembed.data.sources import Scan

experiments = {
    size: replace(
        one,
        data=replace(
            one.data,
            train=Scan(("scan/tasks_train_addprim_jump.txt.gz",)),
            test=Scan(("scan/tasks_test_addprim_jump.txt.gz",)),
        ),
    )
    for size, one in simple.items()
}
