// Countersign-agent runs on every node of a cluster, and writes the policies of the cluster as documents for the node's
// daemon; package program implements it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/countersign/countersign/plugin/agent/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program.Run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
