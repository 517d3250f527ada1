-- SPDX-License-Identifier: MIT
-- Requests to the state API for wrk: state.lua METHOD KEYS FILE, where FILE has a
-- token a line, each another tenant's. All are made before the clock starts; the
-- threads begin at different ones.
local requests, at = {}, 0

function init(args)
	local body = args[1] == "PUT" and string.rep("x", 100) or nil
	local tokens = {}
	for token in io.lines(args[3]) do
		tokens[#tokens + 1] = token
	end
	for key = 1, tonumber(args[2]) do
		for _, token in ipairs(tokens) do
			requests[#requests + 1] = wrk.format(args[1],
			    "/state/v1/kv/bench/" .. key,
			    { Authorization = "Bearer " .. token,
			      Host = "localhost" }, body)
		end
	end
	math.randomseed(os.time() + tonumber(tostring(requests):sub(-6), 16))
	at = math.random(#requests)
end

function request()
	at = at % #requests + 1
	return requests[at]
end
