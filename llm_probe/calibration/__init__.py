"""Known nulls and known signals through the job that users run: how often is each statistic fooled?"""
