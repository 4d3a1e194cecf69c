// Package attack is the attack suite: what an outsider may try against a comfygate that runs as a deployment does, and the tests of what
// no outsider can cause, such as clocks, full disks and killed processes. `make attack` runs all of it and writes docs/attack-suite.md;
// `go test ./test/attack` runs what goes over the wire.
package attack

// A Test is a Go test of the repository.
type Test struct {
	Package string // folder, from the repository's root
	Name    string
}

// A Row is one id of the suite. It holds what is true of every comfygate; at least one of Wire and Tests is given.
type Row struct {
	ID    string
	What  string // must hold
	Wire  string // what is sent to the running program; empty where nobody outside can cause it
	Tests []Test // each must exist, name the id, run and pass
}

// tests lists tests of one package.
func tests(folder string, names ...string) []Test {
	list := make([]Test, len(names))
	for i, name := range names {
		list[i] = Test{folder, name}
	}
	return list
}

// Rows returns the whole suite, in the order in which it is told.
func Rows() []Row {
	var all []Row
	for _, group := range [][]Row{transport(), identity(), input(), output(), limited(), recorded(), Classes(), Oracles()} {
		all = append(all, group...)
	}
	return all
}

func transport() []Row {
	return []Row{
		{"T01", "DNS rebinding: a foreign Host is refused with 403", "9 Hosts on each route", tests("web", "TestSec_SC12_hosts")},
		{"T02", "a foreign and a null Origin are refused with 403", "8 Origins on each route", tests("web", "TestSec_SC12_hosts")},
		{"T03", "an Origin that the operator trusts passes, and its neighbours do not", "the trusted Origin and 5 that look like it", tests("web", "TestSec_SC12_hosts")},
		{"T04", "another Content-Type is refused with 415", "7 types", tests("mcpserver", "TestHTTP_MCP03_bodies")},
		{"T05", "a body over the cap is refused with 413, chunked too; HTTP/2 is not spoken", "a byte more than 6 MiB in each form, an HTTP/2 preface", tests("web", "TestWeb_T05_body")},
		{"T06", "JSON of any depth costs nothing", "objects and arrays 20,000 deep, in the envelope and in arguments", tests("mcpserver", "TestHTTP_MCP03_bodies")},
		{"T07", "duplicate and case-variant keys are never honoured", "10 spellings in the envelope, in params and in arguments", nil},
		{"T08", "NUL and invalid UTF-8 are refused", "6 places in a message", tests("mcpserver", "TestHTTP_MCP03_bodies")},
		{"T09", "headers that say other than the body: -32020", "5 mismatches", tests("mcpserver", "TestHTTP_versions")},
		{"T10", "an unknown protocol version: -32022", "4 versions", tests("mcpserver", "TestHTTP_versions")},
		{"T11", "methods that mean nothing are refused with 405", "7 methods, and GET and DELETE of the newest revision", tests("mcpserver", "TestHTTP_MCP13_methods")},
		{"T12", "slow and idle connections are cut", "a header and a body that trickle", tests("web", "TestWeb_T12_slow", "TestWeb_T12_connections", "TestUploads_T12_slow")},
		{"T13", "batches are refused", "5 arrays", tests("mcpserver", "TestHTTP_MCP03_bodies")},
		{"T14", "a stream that drops cancels its job, or detaches it, as the operator set", "a waiting call whose connection is cut", tests("cmd/comfygate", "TestT14_drop", "TestT14_cancelled")},
		{"T15", "every answer has the security headers, none the CORS wildcard", "14 answers of every kind, preflights too", tests("web", "TestWeb_T15_headers")},
		{"T16", "nobody cancels another's call by its JSON-RPC id", "7 ways to name another's running call", nil},
		{"T17", "progress reaches nobody but its caller", "another's progress token, on a stream of one's own", nil},
		{"T18", "a session that is another's, made up, ended or missing opens nothing", "6 session ids × POST, GET, DELETE", nil},
		{"T19", "the last progress is never lost", "40 calls with a progress token, in both eras", nil},
	}
}

func identity() []Row {
	return []Row{
		{"T20", "without a good bearer token: 401 with resource_metadata and scope", "13 headers on each route", tests("auth", "TestAuth_challenges", "TestSec_SC10_SC59_credentials")},
		{"T21", "tokens that are signed, addressed or dated wrongly are refused", "14 tokens, most signed by the provider's own key", tests("auth", "TestOIDC_T21_badTokens")},
		{"T22", "a provider that is away, changes its keys, or is asked for keys that do not exist", "50 made-up key ids", tests("auth", "TestOIDC_T22_provider", "TestOIDC_T22_awayAtStart")},
		{"T23", "a token that lacks scopes: 403 insufficient_scope that names all of them", "a token for reading that asks for a picture", tests("auth", "TestOIDC_scopes")},
		{"T24", "a caller's token reaches neither ComfyUI nor the log", "all requests that ComfyUI got and all that was logged, after the whole suite", tests("web", "TestSec_SC10_failures")},
		{"T25", "static tokens are kept as hashes and compared in constant time", "", tests("auth", "TestSec_SC10_T25_constantTime", "TestStore_AUT04")},
		{"T26", "another's job and picture answer exactly like unknown ones", "7 uses of another's ids beside unknown ids", tests("jobs", "TestManager_SC32_ownerBound")},
		{"T27", "ids have at least 128 random bits", "the ids of 30 pictures and jobs, and neighbours of them", tests("images", "TestPut_ids")},
		{"T28", "a refusal does not tell why a token is bad", "the answers of T21, compared", tests("auth", "TestOIDC_T21_badTokens", "TestOIDC_T28_beforeKeys")},
		{"T29", "tools/list shows what one may call, and the call is judged again", "a viewer and scopes: each hidden tool is called", tests("policy", "TestOffers_T29")},
	}
}

func input() []Row {
	return []Row{
		{"T30", "whatever arguments come, the answer is a clear one", "400 seeded random calls made from each tool's own schema", tests("tools", "TestArguments_SC48_badValues", "FuzzDecode")},
		{"T31", "unknown arguments are refused", "an unknown and a case-variant argument of each tool", tests("tools", "TestArguments_T31_unknown")},
		{"T32", "numbers that cannot be counted are refused", "18 sizes, counts, steps and scales", tests("comfy/workflow", "TestWeigh_T32_neverRunsOver")},
		{"T33", "no name leaves its folder", "16 spellings in each argument that names something", tests("policy", "TestAllowModel_SC26_traversal")},
		{"T34", "only allowed node classes run", "8 graphs with a class that is unknown, denied, custom, paid or nested", tests("policy", "TestDecide_T34_nodesOfTheFile")},
		{"T35", "no address is fetched", "14 spellings of an address, in each place that could take one; a listener waits for a visit", tests("comfy/workflow", "TestSecure_refuses")},
		{"T36", "a prompt cannot become workflow", "9 prompts that close strings, objects and nodes; the graph that ComfyUI got is compared", tests("comfy/workflow", "TestText_SC25_T36_promptsAndSeeds")},
		{"T37", "embeddings in prompts are judged as models", "4 prompts that reach for a file", tests("comfy/workflow", "TestModels_T37_composedTexts")},
		{"T38", "seeds and integers are exact and bounded", "12 values", tests("mcpserver", "TestSec_SC24_SC27_SC28_badArguments")},
	}
}

func output() []Row {
	return []Row{
		{"T40", "nothing that ComfyUI says crosses unescaped, unbounded or with paths in it", "a ComfyUI that answers with traces, paths, addresses and credentials on 6 routes", tests("mcpserver", "TestSec_SC61_errors")},
		{"T41", "control, terminal, bidi and zero-width characters are stripped", "a ComfyUI whose errors and names hold them; each answer of the suite is searched", tests("tools", "TestText_T41")},
		{"T42", "metadata and what stands after a picture's end go", "a polyglot picture with a place in it, uploaded, made larger and fetched", tests("images", "TestStripPNG_metadata")},
		{"T43", "an answer holds no more than clients take; the rest is behind a link", "the largest pictures that may be asked for", tests("tools", "TestGenerate_T43_inlineBudget")},
		{"T44", "the tools that are offered do not change", "tools/list over and over, in both eras, before and after everything else; its digest is on the record", tests("tools", "TestCatalog_T44_golden")},
	}
}

func limited() []Row {
	return []Row{
		{"T50", "each principal has exactly its burst", "3 principals at once, each a call too many", tests("limits", "TestT50_burst_is_exact_for_each_principal", "TestT50_budgetsAreExact")},
		{"T51", "a million identities stay in bounded memory", "", append(tests("limits", "TestT51_a_million_identities", "TestT51_a_million_addresses", "TestT51_budgetsOfMany"), tests("audit", "TestAUD18_many_principals")...)},
		{"T52", "a clock that steps gives and takes nothing", "", tests("limits", "TestT52_clock_step", "TestT52_budgetClock")},
		{"T53", "work is charged, and what was not done comes back", "", append(tests("limits", "TestT53_settle"), Test{"cmd/comfygate", "TestLimits_T53_budget"})},
		{"T54", "who floods does not hold up others", "", append(tests("jobs", "TestLine_LIM09_fairBetweenOwners"), tests("engine", "TestT54_floodedQueue")...)},
		{"T55", "who waits as long as was told gets through", "", append(tests("limits", "TestT55_retry_after_is_honest", "TestT55_budgetWaitsAreHonest"), Test{"cmd/comfygate", "TestLimits_T55_honest"})},
		{"T56", "a limiter without room fails closed", "", tests("limits", "TestT56_noRoomFailsClosed")},
	}
}

func recorded() []Row {
	return []Row{
		{"T60", "every tampering with the record is found and placed", "", tests("audit", "TestT60_mutations", "TestT60_every_byte", "TestT60_any_edit", "TestT60_lines_and_segments", "TestT60_truncated_tail", "TestT60_forged_chain")},
		{"T61", "kill -9 at every step leaves the intent", "", tests("audit", "TestT61_killed_at_every_step", "TestT61_kill_9", "TestT61_crash_points")},
		{"T62", "a full disk refuses new calls and keeps what is owed", "", tests("audit", "TestT62_disk_full", "TestT62_real_full_disk")},
		{"T63", "a failed fsync is never taken for a success", "", tests("audit", "TestT63_fsync_error", "TestT63_fsync_error_that_stays", "TestT63_trouble_elsewhere")},
		{"T64", "rotation under many writers and readers loses and doubles nothing", "", tests("test/attack", "TestT64_rotationRaces")},
		{"T65", "secrets and prompts stand nowhere", "the log, the data folder and every answer are searched after the whole suite", tests("cmd/comfygate", "TestSec_SC35_SC36_SC37_canary")},
		{"T66", "nothing a caller says breaks a line of the record or of its print", "line breaks, terminal escapes and formulas in names, ids and headers; the record is read back", append(tests("audit", "TestT66_nothing_is_injected"), Test{"cmd/comfygate", "TestT66_printed_records"})},
	}
}

// Classes are MCPSEC's twelve, with cases of our own.
func Classes() []Row {
	return []Row{
		{"A1", "injection: no argument becomes a command, a template or a graph", "12 payloads in each text argument of each tool", nil},
		{"A2", "rug pull: descriptions and schemas stay what was agreed to", "tools/list around saved workflows whose text gives orders", nil},
		{"A3", "parameters: types are never bent", "21 values of wrong type or shape", nil},
		{"A4", "loss of data: nothing leaves but to its owner", "hostile resource addresses, other routes, and status", nil},
		{"A5", "confused deputy: comfygate's rights are not its caller's", "a viewer, a token for another audience, another's pictures within a graph", nil},
		{"A6", "poisoned memory: what one stores does not speak to another", "a saved workflow and an upload with orders in their texts", nil},
		{"A7", "squatting: names that look like a tool's are none", "11 spellings of a tool's name", nil},
		{"A8", "audit tampering: the record of this very run verifies, and no change of it does", "7 tamperings with a copy of the record, and receipts", nil},
		{"A9", "SSRF: no request leaves for where a caller points", "headers, ids, links and graphs that name a listener, which waits for a visit", nil},
		{"A10", "denial of service: what is dear is bounded", "a picture bomb, huge graphs, arrays, texts, and 2,100 sessions", nil},
		{"A11", "elicitation: the server asks its callers for nothing", "a client that offers to be asked, and answers to questions nobody put", nil},
		{"A12", "covert channels: nothing is hidden in what is told", "descriptions, headers and pictures are searched; what exists and what does not answer alike", nil},
	}
}

// Oracles are mcp-fuzzer's seven kinds of finding. Every answer that the suite receives is put to each of them.
func Oracles() []Row {
	const every = "every answer of the suite"
	return []Row{
		{"O1", "crash: the programs live and have not panicked", every, nil},
		{"O2", "auth bypass: nobody without a good credential is served", every, nil},
		{"O3", "injection reflection: no payload comes back raw or evaluated", every, nil},
		{"O4", "oversized response: none is larger than 1 MiB, pictures behind links aside", every, nil},
		{"O5", "hang: each comes within its time", every, nil},
		{"O6", "internal error: no 5xx but 503, no -32603, no INTERNAL", every, nil},
		{"O7", "error leakage: no path, trace, type, address of ComfyUI or credential", every, nil},
	}
}
