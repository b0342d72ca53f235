"""Webhooks: addresses that clients give, to be called when their job goes on. What is told there is its dialect's.

An address is as hostile as one to fetch from, and goes the same way (`fetching`): read once, looked up once, and called
where it was checked; when it is given and again at each call (`guard`). Calls are signed (`secret`, `signing`), are few
at once (`lines`) and short (`calling`). What tells of a job's end is kept beside the job, and tried until it arrives or
it is too late (`webhooks`, `schedule`). Source: https://github.com/standard-webhooks/standard-webhooks
"""
