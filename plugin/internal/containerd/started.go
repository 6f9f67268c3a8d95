package containerd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks is the unit of times in /proc, in Hz: USER_HZ, which is the same on all architectures of Go (proc(5)).
const ticks = 100

// Started returns when the containerd at an address was started. It reads its configuration only then.
func Started(ctx context.Context, address string) (time.Time, error) {
	client, err := Connect(ctx, address, "")
	if err != nil {
		return time.Time{}, err
	}
	defer client.Close()
	process, err := processOf(ctx, client.IntrospectionService())
	if err != nil {
		return time.Time{}, err
	}
	stat, err := os.ReadFile(process + "/stat")
	if err != nil {
		return time.Time{}, fmt.Errorf("reading when containerd was started: %w", err)
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, fmt.Errorf("reading when this host was started: %w", err)
	}
	return startTime(string(stat), string(uptime), time.Now())
}

// startTime returns when a process was started, by its /proc/PID/stat and /proc/uptime (proc(5)).
func startTime(stat, uptime string, now time.Time) (time.Time, error) {
	const field = 22 - 3 // starttime; the first field after the name of the program is the third.
	_, rest, _ := strings.Cut(stat[strings.LastIndexByte(stat, ')')+1:], " ")
	fields := strings.Fields(rest)
	up, _, _ := strings.Cut(uptime, " ")
	seconds, err := strconv.ParseFloat(up, 64)
	if err != nil || len(fields) <= field {
		return time.Time{}, fmt.Errorf("the kernel reports %q and %q", stat, uptime)
	}
	started, err := strconv.ParseInt(fields[field], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("the kernel reports that containerd was started at %q", fields[field])
	}
	boot := now.Add(-time.Duration(seconds * float64(time.Second)))
	return boot.Add(time.Duration(started) * time.Second / ticks), nil
}

// ChangedSince returns the first configuration file that was changed after a time, or the empty string.
func (c *Config) ChangedSince(started time.Time) string {
	// A file that was written in the same second as the start may have been read or not.
	const slack = time.Second
	for _, path := range c.files {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(started.Add(slack)) {
			return path
		}
	}
	return ""
}
