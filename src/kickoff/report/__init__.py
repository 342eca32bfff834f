"""The report: evidence in, a job summary, an offline page, an outcome and a closing block out."""
