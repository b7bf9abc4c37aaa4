"""Runs apps as components of `wit/python.wit`: those of ASGI as `application` of myweb:handler, those of WSGI as `wsgi`.

boot      the order in which all this is set up while a component is built
report    what the build tells its caller
store     the files that are in the component
files     `open`, `os.stat` and their like on them
importer  `import` from them
wsgi      PEP 3333
asgi      ASGI 3 over an event loop without a system
loop      that event loop
answer    from status, headers and chunks to what the world returns
environ   which variables an app reads at import, and what it puts there
fresh     random numbers that no snapshot repeats
system    what a sandbox lacks, said or stood in for
sockets   sockets that speak HTTP, and nothing else
outbound  what is written to them, sent by the server, and its answer
hashes    hashlib's pbkdf2_hmac and scrypt
late      what functions import late is imported while building
"""
