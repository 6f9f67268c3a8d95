package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestMain makes this test binary a program that prints the time, for the test of the clock.
func TestMain(m *testing.M) {
	if os.Getenv("CHAOS_PRINT_TIME") == "" {
		os.Exit(m.Run())
	}
	for range time.Tick(10 * time.Millisecond) {
		if _, err := fmt.Fprintln(os.Stdout, time.Now().Unix()); err != nil {
			os.Exit(0)
		}
	}
}

func TestTheClockOfOneProcessIsSet(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "CHAOS_PRINT_TIME=1")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	lines := bufio.NewScanner(output)
	lines.Scan() // It runs.
	for _, by := range []time.Duration{time.Hour, -400 * 24 * time.Hour, 0} {
		if err := setClock(t.Context(), command.Process, by); err != nil {
			t.Fatal(err)
		}
		want := time.Now().Add(by)
		for lines.Scan() {
			seconds, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			// What was printed before stands in the pipe.
			if time.Unix(seconds, 0).Sub(want).Abs() < time.Minute {
				break
			}
		}
		if lines.Err() != nil || lines.Text() == "" {
			t.Fatalf("the process never printed the time %s: %v", want, lines.Err())
		}
	}
}
