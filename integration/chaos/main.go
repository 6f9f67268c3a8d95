//go:build linux

// Chaos creates containers on a real node while something goes wrong with countersign, with what it depends on, or with
// what tenants do, and prints a table with one row for each of these faults. It exits with status 1 if a bound is not
// held: no container may be created that the policy refuses, none may be refused for more than ten seconds that the
// policy admits, and two seconds after the end of a fault containers are created again.
//
// It counts only tries that the daemon answered, because a try that failed for want of containerd or the daemon shows
// nothing. containerd runs all the time, except in the row in which it is restarted.
//
// With -duration it repeats the faults in a random order for that time, instead of each for a number of tries.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	rows := flag.String("faults", "", "the faults, separated by commas, by the beginnings of their names; empty: all")
	flag.IntVar(&o.tries, "tries", 1000, "how many tries the daemon answers during each fault")
	flag.IntVar(&o.names, "names", 1200, "how many registries the attacker invents")
	flag.DurationVar(&o.duration, "duration", 0, "repeat the faults in a random order for this time")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "the seed of that order")
	flag.Parse()
	if *rows != "" {
		o.faults = strings.Split(*rows, ",")
	}
	o.isTimed, o.out, o.log = true, os.Stdout, os.Stderr
	err := run(ctx, o)
	if errors.Is(err, errBounds) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos: it could not be determined:", err)
		stop()
		os.Exit(2)
	}
}
