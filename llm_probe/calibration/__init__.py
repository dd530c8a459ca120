"""Known nulls and known signals through the job that users run: false positive rates and power of each statistic."""
