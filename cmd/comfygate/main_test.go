package main

import (
	"flag"
	"runtime"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the program too: started under the program's name, found in PATH, it runs main.
func TestMain(m *testing.M) {
	// While processes start, work and end, other tests may go on.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"comfygate":          main,
		"comfygate-leftover": leftover,
	})
}

// TestScripts runs the commands that come to an end by themselves, as people type them.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			home := env.WorkDir + "/home"
			env.Setenv("HOME", home)
			env.Vars = append(env.Vars, quickExit)
			env.Setenv("COMFYGATE_STORAGE__DIR", home+"/data")
			env.Setenv("COMFYGATE_OUTPUT__DIR", home+"/pictures")
			return nil
		},
	})
}
