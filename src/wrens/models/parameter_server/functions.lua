#!lua name=@LIBRARY@
-- The part of a parameter server that runs inside of Redis or Valkey.
--
-- Arrays are tables of numbers in the memory of the scripting engine: a thousand additions to them take a tenth of a millisecond, a
-- tenth of what they take on strings or hashes. They are gone when the server ends; callers notice by the token of their model.
-- A server does one thing at a time, so each call here is atomic.
--
-- args: operation, model, token, and what the operation needs. An update is four arguments: array, format of its numbers ('d' or 'f'),
-- how its rows are named (an offset, or 'rows' and the width of one), and bytes: the numbers, or for each row its number and numbers.

local models = {}

local WIDTH = {d = 8, f = 4}
local ONE, EIGHT = {d = '<d', f = '<f'}, {d = '<dddddddd', f = '<ffffffff'}
local PAIR, PAIRS = {d = '<Id', f = '<If'}, {d = '<IdIdIdIdIdIdIdId', f = '<IfIfIfIfIfIfIfIf'}
local ROWS = '<IIIIIIII'
local NARROW = 8 -- rows of fewer numbers are unpacked and packed together
local MANY = 96 -- numbers, about, that are unpacked or packed by one call there
local BUCKETS = 24 -- of staleness: 0, 1, 2 to 3, 4 to 7, and so on

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function refused(word)
  return redis.error_reply(word)
end

-- Adds n numbers, which begin at byte `at`, to the elements from i on; returns where the next ones begin.
-- Eight at a time: what takes longest is calling unpack.
local function add_run(data, i, n, format, bytes, at)
  local unpack_ = struct.unpack
  local eight, one = EIGHT[format], ONE[format]
  local a, b, c, d, e, f, g, h
  for _ = 1, math.floor(n / 8) do
    a, b, c, d, e, f, g, h, at = unpack_(eight, bytes, at)
    data[i] = (data[i] or 0) + a
    data[i + 1] = (data[i + 1] or 0) + b
    data[i + 2] = (data[i + 2] or 0) + c
    data[i + 3] = (data[i + 3] or 0) + d
    data[i + 4] = (data[i + 4] or 0) + e
    data[i + 5] = (data[i + 5] or 0) + f
    data[i + 6] = (data[i + 6] or 0) + g
    data[i + 7] = (data[i + 7] or 0) + h
    i = i + 8
  end
  for _ = 1, n % 8 do
    a, at = unpack_(one, bytes, at)
    data[i] = (data[i] or 0) + a
    i = i + 1
  end
  return at
end

-- Adds pairs of a number's place and the number.
local function add_pairs(data, format, bytes)
  local unpack_ = struct.unpack
  local pairs_, pair = PAIRS[format], PAIR[format]
  local n, at = #bytes / (4 + WIDTH[format]), 1
  local i, j, k, l, m, o, p, q, a, b, c, d, e, f, g, h
  for _ = 1, math.floor(n / 8) do
    i, a, j, b, k, c, l, d, m, e, o, f, p, g, q, h, at = unpack_(pairs_, bytes, at)
    i, j, k, l, m, o, p, q = i + 1, j + 1, k + 1, l + 1, m + 1, o + 1, p + 1, q + 1
    data[i] = (data[i] or 0) + a
    data[j] = (data[j] or 0) + b
    data[k] = (data[k] or 0) + c
    data[l] = (data[l] or 0) + d
    data[m] = (data[m] or 0) + e
    data[o] = (data[o] or 0) + f
    data[p] = (data[p] or 0) + g
    data[q] = (data[q] or 0) + h
  end
  for _ = 1, n % 8 do
    i, a, at = unpack_(pair, bytes, at)
    data[i + 1] = (data[i + 1] or 0) + a
  end
  return n
end

-- Adds narrow rows, each of which comes after its number.
local function add_narrow(data, width, format, bytes)
  local record, size = 'I' .. string.rep(format, width), 4 + width * WIDTH[format]
  local left, at, most = #bytes / size, 1, math.floor(MANY / width)
  while left > 0 do
    local count = math.min(left, most)
    local found = {struct.unpack('<' .. string.rep(record, count), bytes, at)}
    for f = 1, count * (width + 1), width + 1 do
      local i = found[f] * width
      for j = 1, width do data[i + j] = (data[i + j] or 0) + found[f + j] end
    end
    left, at = left - count, at + count * size
  end
end

-- Carries out the updates from args[from] on; returns how many numbers were added.
local function add_all(model, args, from)
  local total = 0
  for u = from, #args, 4 do
    local data, format, where, bytes = model.arrays[args[u]], args[u + 1], args[u + 2], args[u + 3]
    local width = tonumber(string.match(where, '^rows (%d+)$'))
    if not width then
      local n = #bytes / WIDTH[format]
      add_run(data, tonumber(where) + 1, n, format, bytes, 1)
      total = total + n
    elseif width == 1 then
      total = total + add_pairs(data, format, bytes)
    elseif width < NARROW then
      add_narrow(data, width, format, bytes)
      total = total + #bytes / (4 + width * WIDTH[format]) * width
    else
      local at, row = 1, 0
      while at <= #bytes do
        row, at = struct.unpack('<I', bytes, at)
        at = add_run(data, row * width + 1, width, format, bytes, at)
        total = total + width
      end
    end
  end
  return total
end

-- Appends n numbers from the elements from i on.
local function take_run(data, i, n, format, out)
  local pack_ = struct.pack
  local eight, one, o = EIGHT[format], ONE[format], #out
  for _ = 1, math.floor(n / 8) do
    o = o + 1
    out[o] = pack_(eight, data[i] or 0, data[i + 1] or 0, data[i + 2] or 0, data[i + 3] or 0,
      data[i + 4] or 0, data[i + 5] or 0, data[i + 6] or 0, data[i + 7] or 0)
    i = i + 8
  end
  for _ = 1, n % 8 do
    o = o + 1
    out[o] = pack_(one, data[i] or 0)
    i = i + 1
  end
end

-- Appends the numbers at places.
local function take_each(data, format, bytes, out)
  local unpack_, pack_ = struct.unpack, struct.pack
  local eight, one, o = EIGHT[format], ONE[format], #out
  local n, at = #bytes / 4, 1
  local i, j, k, l, m, p, q, r
  for _ = 1, math.floor(n / 8) do
    i, j, k, l, m, p, q, r, at = unpack_(ROWS, bytes, at)
    o = o + 1
    out[o] = pack_(eight, data[i + 1] or 0, data[j + 1] or 0, data[k + 1] or 0, data[l + 1] or 0,
      data[m + 1] or 0, data[p + 1] or 0, data[q + 1] or 0, data[r + 1] or 0)
  end
  for _ = 1, n % 8 do
    i, at = unpack_('<I', bytes, at)
    o = o + 1
    out[o] = pack_(one, data[i + 1] or 0)
  end
end

-- Appends narrow rows.
local function take_narrow(data, width, format, bytes, out)
  local most, unpack_, held = math.floor(MANY / width), struct.unpack, {}
  local left, at = #bytes / 4, 1
  while left > 0 do
    local count, n = math.min(left, most), 0
    local rows = {unpack_('<' .. string.rep('I', count), bytes, at)}
    for r = 1, count do
      for i = rows[r] * width + 1, (rows[r] + 1) * width do
        n = n + 1
        held[n] = data[i] or 0
      end
    end
    out[#out + 1] = struct.pack('<' .. string.rep(format, n), unpack(held, 1, n))
    left, at = left - count, at + 4 * count
  end
end

-- Returns a table that is at first empty, and keeps the numbers of its rows in the order in which they came to be: so that they can
-- be read in parts while others come to be.
local function sparse(width)
  local rows, count = {}, 0
  return setmetatable({}, {
    rows = rows,
    __newindex = function(data, i, value)
      rawset(data, i, value)
      if (i - 1) % width == 0 then
        count = count + 1
        rows[count] = (i - 1) / width
      end
    end,
  })
end

-- What was added since the caller has read last.
local function note(model, seen, numbers)
  local stats = model.stats
  stats.pushes = stats.pushes + 1
  stats.pushed = stats.pushed + numbers
  if seen >= 0 then
    local stale = model.version - seen
    local bucket, limit = 1, 1
    while stale >= limit and bucket < BUCKETS do
      bucket, limit = bucket + 1, limit * 2
    end
    stats.stale[bucket] = (stats.stale[bucket] or 0) + 1
    stats.stale_sum = stats.stale_sum + stale
    stats.stale_most = math.max(stats.stale_most, stale)
  end
  model.version = model.version + 1
end

local function fresh()
  return {pushes = 0, pulls = 0, pushed = 0, pulled = 0, stale = {}, stale_sum = 0, stale_most = 0, waited = 0}
end

-- Up to which clock all workers have told their part here.
local function ready(model)
  local found
  for w = 1, model.workers do
    if not model.finished[w] then found = math.min(found or model.clocks[w], model.clocks[w]) end
  end
  if found then return math.max(found, model.settled) end
  found = model.settled
  for w = 1, model.workers do found = math.max(found, model.clocks[w]) end
  return found
end

-- Carries out the clocks up to one of which all have told their part on all servers, each worker's in the order of their numbers, so
-- that sums do not depend on who was first.
local function settle(model, to)
  while model.settled < to do
    local clock = model.settled
    local waiting = model.waiting[clock]
    for w = 1, model.workers do
      if waiting and waiting[w] then
        note(model, waiting[w].seen, add_all(model, waiting[w].args, waiting[w].from))
      end
    end
    model.waiting[clock] = nil
    model.settled = clock + 1
  end
end

-- version, run, settled, ready, workers, who has failed, then clock and whether it is finished for each worker.
local function state(model)
  local found = {model.version, model.run, model.settled, ready(model), model.workers, model.failed}
  for w = 1, model.workers do
    found[#found + 1] = model.clocks[w]
    found[#found + 1] = model.finished[w] and 1 or 0
  end
  return found
end

local function begin(model, run, workers)
  model.run, model.workers, model.failed, model.settled = run, workers, -1, 0
  model.waits, model.attempts, model.results = {}, {}, {}
  model.clocks, model.finished, model.waiting = {}, {}, {}
  for w = 1, workers do model.clocks[w] = 0 end
end

local operations = {}

-- 4 what the arrays are, for comparison; 5 how many; for each its name, its numbers, and 0, or the width of a sparse one's rows.
-- Answers the token, what the arrays are, and whether they may be used, of this model or of the one that there is.
function operations.create(model, args)
  if not model then
    model = {
      token = args[3], spec = args[4], arrays = {}, done = {}, open = 0, version = 0,
      stats = fresh(), since = now(),
    }
    begin(model, 0, 0)
    for a = 6, 5 + 3 * tonumber(args[5]), 3 do
      local width, data = tonumber(args[a + 2]), {}
      if width > 0 then data = sparse(width) end
      for i = 1, tonumber(args[a + 1]) do data[i] = 0 end
      model.arrays[args[a]] = data
    end
    models[args[2]] = model
  end
  return {model.token, model.spec, model.open}
end

-- Nothing that was done until now counts: it was for the first values.
function operations.open(model)
  model.open, model.version, model.stats, model.since = 1, 0, fresh(), now()
  return 1
end

function operations.look(model)
  return model and {model.token, model.spec, model.open} or {}
end

function operations.drop(_, args)
  models[args[2]] = nil
  return 1
end

-- 4 who; 5 its number, which is carried out once; 6 the version that it has seen; 7 and on: updates.
function operations.add(model, args)
  local number = tonumber(args[5])
  if number > (model.done[args[4]] or 0) then
    model.done[args[4]] = number
    note(model, tonumber(args[6]), add_all(model, args, 7))
  end
  return model.version
end

-- 4 and on: array, format, how rows are named as in an update, and the rows, or how many numbers. Answers the version, then bytes.
function operations.take(model, args)
  local found, total = {model.version}, 0
  for u = 4, #args, 4 do
    local data, format, where = model.arrays[args[u]], args[u + 1], args[u + 2]
    local width, out = tonumber(string.match(where, '^rows (%d+)$')), {}
    if not width then
      take_run(data, tonumber(where) + 1, tonumber(args[u + 3]), format, out)
    elseif width == 1 then
      take_each(data, format, args[u + 3], out)
    elseif width < NARROW then
      take_narrow(data, width, format, args[u + 3], out)
    else
      local bytes, at, row = args[u + 3], 1, 0
      while at <= #bytes do
        row, at = struct.unpack('<I', bytes, at)
        take_run(data, row * width + 1, width, format, out)
      end
    end
    local bytes = table.concat(out)
    total = total + #bytes / WIDTH[format]
    found[#found + 1] = bytes
  end
  model.stats.pulls = model.stats.pulls + 1
  model.stats.pulled = model.stats.pulled + total
  return found
end

-- 4 array, a sparse one; 5 how many rows the caller has; 6 how many more it takes. Answers their numbers.
function operations.rows(model, args)
  local rows, out = getmetatable(model.arrays[args[4]]).rows, {}
  local first = tonumber(args[5])
  for r = first + 1, math.min(#rows, first + tonumber(args[6])) do out[r - first] = struct.pack('<I', rows[r]) end
  return table.concat(out)
end

-- 4 run; 5 workers; 6 who begins it, or goes on with it; then, of one that goes on from a checkpoint, what is settled and clocks.
function operations.begin(model, args)
  local run = tonumber(args[4])
  if run > model.run then
    begin(model, run, tonumber(args[5]))
    model.settled = tonumber(args[7] or '0')
    for w = 1, model.workers do model.clocks[w] = tonumber(args[7 + w] or '0') end
  end
  model.failed, model.owner = -1, args[6]
  return state(model)
end

function operations.state(model)
  return state(model)
end

-- 4 run; 5 up to which clock all workers have told their part on all servers.
function operations.settle(model, args)
  if tonumber(args[4]) == model.run then settle(model, math.min(tonumber(args[5]), ready(model))) end
  return state(model)
end

-- 4 whose run; 5 worker, from 0; 6 which attempt at it; 7 whether one that had finished goes on, where the others are.
function operations.enter(model, args)
  local w = tonumber(args[5]) + 1
  if args[4] ~= model.owner or not model.clocks[w] then return refused('OVER of another run') end
  if args[7] == '1' and model.finished[w] then
    model.clocks[w], model.finished[w] = math.max(model.clocks[w], model.settled), nil
  end
  if model.attempts[w] ~= args[6] then model.attempts[w], model.waits[w] = args[6], nil end
  if model.failed == w - 1 then model.failed = -1 end
  return state(model)
end

-- 4 whose run; 5 worker, from 0; 6 its clock; 7 whether all are to tell theirs first, 2 if no other server has to; 8 whether it is its last;
-- 9 the version that it has seen; 10 and on: updates. A clock is carried out once; of a worker that is begun again, what it tells last.
function operations.tick(model, args)
  local w, clock = tonumber(args[5]) + 1, tonumber(args[6])
  if args[4] ~= model.owner then return refused('OVER of another run') end
  if args[8] == '1' then model.finished[w] = true end
  if args[7] ~= '0' and clock >= model.settled and model.clocks[w] > clock and model.waiting[clock] then
    model.waiting[clock][w] = {args = args, from = 10, seen = tonumber(args[9])}
  end
  if model.clocks[w] <= clock then
    if args[7] ~= '0' then
      model.waiting[clock] = model.waiting[clock] or {}
      model.waiting[clock][w] = {args = args, from = 10, seen = tonumber(args[9])}
    elseif #args > 9 then
      note(model, tonumber(args[9]), add_all(model, args, 10))
    end
    model.clocks[w] = clock + 1
    if args[7] == '2' then settle(model, ready(model)) end
  end
  return state(model)
end

-- 4 whose run; 5 worker; 6 what its program has returned: until the next run, for the case that the worker is lost before others know.
function operations.keep(model, args)
  if args[4] ~= model.owner then return refused('OVER of another run') end
  model.results[tonumber(args[5]) + 1] = {owner = args[4], bytes = args[6]}
  return 1
end

function operations.kept(model, args)
  local found = model.results[tonumber(args[5]) + 1]
  return found and found.owner == args[4] and found.bytes or ''
end

-- 4 whose run; 5 worker; 6 the attempt at it that has entered last, or it is late; 7 'done', or 'failed'; 8 for how many
-- milliseconds it has waited.
function operations.leave(model, args)
  local w = tonumber(args[5]) + 1
  if args[4] == model.owner and model.attempts[w] == args[6] then
    model.stats.waited = model.stats.waited + tonumber(args[8]) - (model.waits[w] or 0)
    model.waits[w] = tonumber(args[8])
    if args[7] == 'done' then
      model.finished[w] = true
    elseif model.failed < 0 then
      model.failed = w - 1
    end
  end
  return state(model)
end

-- Answers microseconds since the arrays were made, pushes, pulls, numbers of both, milliseconds of waiting, sum and most of staleness, and how
-- often it was in each bucket.
function operations.statistics(model)
  local s = model.stats
  local found = {now() - model.since, s.pushes, s.pulls, s.pushed, s.pulled, s.waited, s.stale_sum, s.stale_most}
  for b = 1, BUCKETS do found[8 + b] = s.stale[b] or 0 end
  return found
end

-- Deletes a model, whoever has made it.
function operations.forget(_, args)
  models[args[2]] = nil
  return 1
end

local ANY = {create = true, look = true, forget = true}

local function call(_, args)
  local operation, model = args[1], models[args[2]]
  if not ANY[operation] and not (model and model.token == args[3]) then
    if operation == 'drop' then return 0 end
    return refused('GONE the model is not here')
  end
  return operations[operation](model, args)
end

-- No key is written, so a server without memory for keys need not refuse.
redis.register_function{function_name = '@LIBRARY@', callback = call, flags = {'allow-oom'}}
