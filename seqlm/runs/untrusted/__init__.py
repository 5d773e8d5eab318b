"""Reading what anybody may have written: nothing is waited for, run or believed unchecked."""
