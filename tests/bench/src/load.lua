-- wrk's script: GETs with one credential after the other from a file, each a line.
--
-- Arguments: file, first and last line, `once` or `again`, file of targets (a line each: host, space, path),
-- the field that carries a credential, up to where it begins.
-- With `once` every credential is sent once at most, and the run ends when they are used up.
local ffi = require("ffi")
ffi.cdef [[
  int kill(int pid, int sig);
  int getpid(void);
]]
local SIGINT = 2 -- on which wrk ends its run at once and reports as usual

local requests, at, again = {}, 1, false

local threads = {}
function setup(thread)
  threads[#threads + 1] = thread
end

local function lines_of(name)
  local lines = {}
  for line in io.lines(name) do
    lines[#lines + 1] = line
  end
  return lines
end

function init(arguments)
  local first, last = tonumber(arguments[2]), tonumber(arguments[3])
  again = arguments[4] == "again"
  local targets = {}
  for _, line in ipairs(lines_of(arguments[5])) do
    targets[#targets + 1] = { line:match("^(%S+) (%S+)$") }
  end
  local number = 0
  for credential in io.lines(arguments[1]) do
    number = number + 1
    if number > last then
      break
    end
    if number >= first then
      local target = targets[(number - first) % #targets + 1]
      requests[#requests + 1] = "GET " .. target[2] .. " HTTP/1.1\r\nhost: " .. target[1]
        .. "\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        .. "\r\naccept: application/json\r\naccept-encoding: gzip, deflate\r\naccept-language: en"
        .. "\r\nx-forwarded-proto: https\r\n" .. arguments[6] .. credential .. "\r\n\r\n"
    end
  end
  assert(#requests > 1, "there are too few credentials in " .. arguments[1])
  repeated = 0 -- global, so that `done` can ask the thread for it
end

function request()
  local request = requests[at]
  at = at + 1
  if at > #requests then
    at = 1
    if not again then
      -- What is due in the same turn of the loop still goes out, and is counted as repeated.
      if not ended then
        ended = true
        wrk.thread:stop()
        ffi.C.kill(ffi.C.getpid(), SIGINT)
      end
    end
  elseif ended then
    repeated = repeated + 1
  end
  return request
end

function done(summary, latency, _)
  local repeated = 0
  for _, thread in ipairs(threads) do
    repeated = repeated + thread:get("repeated")
  end
  local errors = summary.errors
  io.write(string.format(
    '\nREPORT {"requests":%d,"duration_us":%d,"refused":%d,"broken":%d,"repeated":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    repeated, latency:percentile(50), latency:percentile(99), latency.max))
end
