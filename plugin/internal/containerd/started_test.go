package containerd_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/containerd"
)

func TestStartTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	// The 22nd field is 9000: 90 s after the host was started, which is 100 s ago.
	const fields = " S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 9000 12345 678"
	for name, test := range map[string]struct {
		stat, uptime string
		want         time.Time
	}{
		"of a process":                          {"42 (containerd)" + fields, "100.00 300.00\n", now.Add(-10 * time.Second)},
		"of one with a parenthesis in its name": {"42 (a) S (b)" + fields, "100.00 300.00\n", now.Add(-10 * time.Second)},
		"without fields":                        {"42 (containerd) S 1", "100.00 300.00\n", time.Time{}},
		"without an uptime":                     {"42 (containerd)" + fields, "", time.Time{}},
		"of nothing":                            {"", "", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := containerd.StartTime(test.stat, test.uptime, now)
			if !got.Equal(test.want) || (err == nil) == test.want.IsZero() {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// TestTheTestWasStarted compares with a process whose start is known.
func TestTheTestWasStarted(t *testing.T) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(os.Getpid()), "stat"))
	if err != nil {
		t.Skip("there is no /proc")
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	started, err := containerd.StartTime(string(stat), string(uptime), time.Now())
	if err != nil || time.Since(started) < 0 || time.Since(started) > time.Hour {
		t.Errorf("this process was started at %v, %v", started, err)
	}
}

func TestChangedSince(t *testing.T) {
	path := writeContainerd(t, "version = 3\n", "version = 3\n")
	config, err := containerd.LoadConfigFrom(t.Context(), containerd.OwnSource(path), path)
	if err != nil {
		t.Fatal(err)
	}
	if changed := config.ChangedSince(time.Now()); changed != "" {
		t.Errorf("%s was changed in the future", changed)
	}
	later, dropIn := time.Now().Add(time.Minute), filepath.Join(filepath.Dir(path), "conf.d", "a.toml")
	if err := os.Chtimes(dropIn, later, later); err != nil {
		t.Fatal(err)
	}
	if changed := config.ChangedSince(time.Now()); changed != dropIn {
		t.Errorf("%q was changed, want %s", changed, dropIn)
	}
}

func TestAMainFileThatDoesNotExistIsEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	config, err := containerd.LoadConfigFrom(t.Context(), containerd.OwnSource(path), path)
	if err != nil || config.ServesNRI() != nil || config.Validates() == nil {
		t.Errorf("the configuration is %+v, %v", config, err)
	}
}
