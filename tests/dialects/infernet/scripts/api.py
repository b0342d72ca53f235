# mypy: ignore-errors
"""Every call of the client's API; what they gave, as JSON. Run in the client's own environment: URL, a chain's URL."""

import asyncio
import json
import sys
import time

from infernet_client import NodeClient
from infernet_client.chain.rpc import RPC
from infernet_client.chain.subscription import Subscription
from infernet_client.error import APIError

URL, CHAIN, COORDINATOR, OWNER, KEY = sys.argv[1:]
CONTAINER, STREAMING = "openai-inference-0.0.1", "openai-inference-streaming-0.0.1"
ZERO = "0x" + "0" * 40
PIZZA = {"endpoint": "completion", "messages": [{"role": "user", "content": "how do I make pizza?"}]}
JOB = {"containers": [CONTAINER], "data": {"model": "gpt-3.5-turbo-16k", "params": PIZZA}}
VECTORS = {"model": "text-embedding-3-small", "params": {"endpoint": "embeddings", "input": "Machine learning (ML)"}}


async def refusal(call):
    try:
        await call
    except APIError as error:
        return [error.status_code, error.message, error.params]


async def subscribe(client, nonce):
    sub = Subscription(OWNER, int(time.time()), 0, 1, 1, [CONTAINER], False, ZERO, 0, ZERO, ZERO)
    expiry = int(time.time()) + 600
    rpc = RPC(CHAIN)
    return await client.request_delegated_subscription(sub, rpc, COORDINATOR, expiry, nonce, KEY, JOB["data"])


async def main():
    client, told = NodeClient(URL), {}
    told["health"] = await client.health()
    told["info"] = await client.get_info()
    id = await client.request_job(JOB)
    told["job"] = await client.get_job_result_sync(id)
    unknown = {**JOB, "containers": ["classify-it-0.0.1"]}
    embed = {"containers": [CONTAINER], "data": VECTORS}
    told["batch"] = await client.request_jobs([JOB, unknown, embed])
    ids = [each["id"] for each in told["batch"] if "id" in each]
    for each in ids:
        await client.get_job_result_sync(each)
    told["results"] = await client.get_job_results([*reversed(ids), id, "unknown"])
    chained = await client.request_job({**JOB, "containers": [CONTAINER, "openai-inference"]})
    await client.get_job_result_sync(chained)
    told["chain"] = await client.get_job_results([chained], intermediate=True)
    told["refused"] = await refusal(client.request_job(unknown))
    told["proof"] = await refusal(client.request_job({**JOB, "requires_proof": True}))
    pieces = [each async for each in client.request_stream({**JOB, "containers": [STREAMING]})]
    told["stream"] = [pieces[0], b"".join(pieces[1:]).decode()]
    told["streamed"] = await client.get_job_result_sync(pieces[0])
    await client.record_status("recorded", "running", JOB)
    told["pending"] = await client.get_jobs(pending=True)
    await client.record_status("recorded", "success", JOB)
    told["completed"] = await client.get_jobs(pending=False)
    told["all"] = await client.get_jobs()
    told["ids"] = [id, *ids, chained, pieces[0]]
    told["none"] = await client.get_job_result_sync("nobody")
    await subscribe(client, 100)
    told["again"] = await refusal(subscribe(client, 100))
    print(json.dumps(told))


asyncio.run(main())
