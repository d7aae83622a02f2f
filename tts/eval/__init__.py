"""The analysis: everything between a run's records and its report. numpy over files, no JAX.

`storage` reads a run's files, `measures` makes accuracies, votes and costs of them, `policy`
chooses strategies by difficulty, `exchange` compares with larger models, `claims` tests the paper's
claims, `figures` draws and `report` writes `W/report`. The way in is `report.report.write`.
"""
