"""Asks a server with httpx, over HTTP/2 and TLS, for many things at once: one
line an answer.

    get.py ORIGIN AUTHORITY.pem
"""

import asyncio
import ssl
import sys

import httpx


async def main():
    """Asks for a page, for a part of it, and for the answers of an app."""
    origin, authority = sys.argv[1:]
    trust = ssl.create_default_context(cafile=authority)
    async with httpx.AsyncClient(http2=True, verify=trust, base_url=origin) as client:
        answers = await asyncio.gather(
            client.get("/"),
            client.get("/", headers={"Range": "bytes=0-14"}),
            client.head("/"),
            client.post("/", content=b"x" * 1_000_000),
            *[client.get(f"/sayhello?name={n}") for n in range(50)],
        )
    for answer in answers:
        text = answer.text.strip().split("\n")[0]
        print(answer.http_version, answer.request.method, answer.status_code, text)


asyncio.run(main())
