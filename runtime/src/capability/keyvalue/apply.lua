-- Makes a change, or none of it. KEYS: the bucket's pairs, the set of its keys,
-- what the tenant's data costs. ARGV: the quota, what a pair costs beside its
-- key and value, the change, and its arguments.
local pairs_of, keys_of, used_by = KEYS[1], KEYS[2], KEYS[3]
local quota, pair, change = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local put, answer = {}, 'done'
if change == 'put' then
    for at = 4, #ARGV, 3 do
        put[#put + 1] = { ARGV[at], ARGV[at + 1] == '1' and ARGV[at + 2] }
    end
elseif change == 'swap' then
    if redis.call('HGET', pairs_of, ARGV[4]) ~= (ARGV[5] == '1' and ARGV[6]) then
        return 'not swapped'
    end
    put[1] = { ARGV[4], ARGV[7] }
else
    local there = redis.call('HGET', pairs_of, ARGV[4])
    local added = redis.pcall('HINCRBY', pairs_of, ARGV[4], ARGV[5])
    if type(added) == 'table' and added.err then
        return 'no number'
    end
    -- As text: a number of this language is not exact beyond 53 bits.
    answer = redis.call('HGET', pairs_of, ARGV[4])
    if there then
        redis.call('HSET', pairs_of, ARGV[4], there)
    else
        redis.call('HDEL', pairs_of, ARGV[4])
    end
    put[1] = { ARGV[4], answer }
end
local before = tonumber(redis.call('GET', used_by) or '0')
local after = before
for _, one in ipairs(put) do
    if redis.call('HEXISTS', pairs_of, one[1]) == 1 then
        after = after - #one[1] - redis.call('HSTRLEN', pairs_of, one[1]) - pair
    end
    if one[2] then
        after = after + #one[1] + #one[2] + pair
    end
end
if after > quota and after > before then
    return 'over quota'
end
for _, one in ipairs(put) do
    if one[2] then
        redis.call('HSET', pairs_of, one[1], one[2])
        redis.call('SADD', keys_of, one[1])
    else
        redis.call('HDEL', pairs_of, one[1])
        redis.call('SREM', keys_of, one[1])
    end
end
redis.call('SET', used_by, string.format('%.0f', math.max(after, 0)))
return answer
