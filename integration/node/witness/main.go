// Command witness is the only program in the images of the tests: it shows on which root filesystem it runs.
//
// Without arguments it prints the file /marker and sleeps until SIGTERM. "witness print PATH…" prints files and exits;
// "witness say WORD…" prints words and sleeps until SIGTERM; "witness exit" exits.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return untilStopped(func() error { return print("/marker") })
	}
	switch arguments[0] {
	case "print":
		return print(arguments[1:]...)
	case "say":
		return untilStopped(func() error { _, err := fmt.Println(strings.Join(arguments[1:], " ")); return err })
	case "exit":
		return nil
	default:
		return fmt.Errorf("unknown command %q", arguments[0])
	}
}

// untilStopped prints something and sleeps until SIGTERM.
func untilStopped(show func() error) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := show(); err != nil {
		return err
	}
	<-stop
	return nil
}

func print(paths ...string) error {
	for _, path := range paths {
		contents, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading a marker: %w", err)
		}
		fmt.Println(string(contents))
	}
	return nil
}
