-- Predictions of pairs of that many teams; with none, the root page. Prints one line of JSON.
local names, step = 0, 0

function init(arguments)
  names = tonumber(arguments[1])
end

function request()
  if names == 0 then return wrk.format("GET", "/") end
  step = step + 1
  local home = (step * 7919) % names
  local away = (home + 1 + step % (names - 1)) % names
  local body = string.format('{"home_team":"Team %d","away_team":"Team %d"}', home, away)
  return wrk.format("POST", "/predictions", {["Content-Type"] = "application/json"}, body)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"failed":%d,"p50":%f,"p95":%f,"worst":%f}\n',
    summary.requests, summary.duration / 1e6, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency.max / 1000))
end
