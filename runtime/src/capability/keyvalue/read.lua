-- The values of keys, or one text if they are larger together than is allowed.
-- KEYS: the bucket's pairs. ARGV: the most bytes, and the keys.
local bytes = 0
for at = 2, #ARGV do
    bytes = bytes + redis.call('HSTRLEN', KEYS[1], ARGV[at])
end
if bytes > tonumber(ARGV[1]) then
    return 'too much'
end
local values = {}
for at = 2, #ARGV do
    values[at - 1] = redis.call('HGET', KEYS[1], ARGV[at])
end
return values
