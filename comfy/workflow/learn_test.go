package workflow_test

import (
	"testing"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// What was learnt of a server's files and nodes is kept for as long as its nodes are the same list, and not a call longer: a server that
// was updated makes what it could not make before.
func TestCatalog_learns(t *testing.T) {
	t.Parallel()
	own, err := workflow.Load("")
	if err != nil {
		t.Fatal(err)
	}
	inv := files(filesOf(t, "krea2-turbo")...)
	older, newer := at(inv, recorded(t, "v0.3.64")), at(inv, recorded(t, "v0.33.0"))
	a := ask()
	a.Family = "krea2-turbo"
	for i, c := range []struct {
		inv workflow.Inventory
		ok  bool
	}{{inv, true}, {older, false}, {older, false}, {newer, true}, {newer, true}, {older, false}} {
		if _, err := own.Text(c.inv, a); (err == nil) != c.ok {
			t.Errorf("call %d: %v", i, err)
		}
		if told, lacks := own.Learnt(); c.inv.Info != nil && (told != 1 || lacks != 1) {
			t.Errorf("after call %d %d files are told and %d families looked at, want 1 and 1", i, told, lacks)
		}
	}
}
