package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/config"
)

// LIM-11: broken limits are refused at the start, each by the name of the setting that its file tells in the first line.
func TestLIM11_brokenLimits(t *testing.T) {
	t.Parallel()
	list, err := filepath.Glob(filepath.Join("testdata", "limits", "*.env"))
	if err != nil || len(list) < 30 {
		t.Fatal(len(list), err)
	}
	for _, file := range list {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		want, ok := strings.CutPrefix(lines[0], "# refused: ")
		if !ok {
			t.Fatalf("%s does not say what is refused", file)
		}
		_, _, err = config.Load(append([]string{"HOME=" + t.TempDir()}, lines[1:]...), os.ReadFile, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "COMFYGATE_") > 2 {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What is not broken is taken: the same settings, each within its bounds.
func TestLIM11_goodLimits(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, ours+"LIMITS__BUDGET_PER_HOUR=1000", ours+"LIMITS__BUDGET_PER_DAY=1000", ours+"LIMITS__VRAM_FACTOR=off", ours+"LIMITS__CALLS=5", ours+"LIMITS__CALLS_PER_PRINCIPAL=5")
	if c.Limits.BudgetPerHour != 1000 || c.Limits.BudgetPerDay != 1000 || c.Limits.VRAMFactor != 0 || c.Limits.Calls != 5 {
		t.Errorf("%+v", c.Limits)
	}
	if d := mustLoad(t).Limits; d.BudgetPerHour != 0 || d.BudgetPerDay != 0 || d.Calls != 512 || d.CallsPerPrincipal != 128 || d.VRAMFactor != 0.5 || d.VRAMReserveGB != 1 {
		t.Errorf("defaults %+v", d)
	}
}
