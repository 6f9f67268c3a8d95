// Command dashboard draws a Grafana dashboard as an SVG file: each panel at its position, with the results that a
// Prometheus server returns to the panel's own queries. It draws the types of panels that conf/monitoring uses. It is
// not Grafana, which neither Debian nor npm has: fonts, colors of series and rounding are similar, not equal.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("dashboard", flag.ContinueOnError)
	path := flags.String("dashboard", "conf/monitoring/dashboard.json", "the dashboard's `file`")
	address := flags.String("prometheus", "http://127.0.0.1:9090", "the `URL` of Prometheus")
	since := flags.Duration("since", time.Hour, "how far the picture goes back")
	rate := flags.Duration("rate-interval", time.Minute, "the value of Grafana's variable $__rate_interval")
	output := flags.String("output", "dashboard.svg", "the `file` to write")
	if err := flags.Parse(arguments); err != nil {
		return fmt.Errorf("reading the arguments: %w", err)
	}
	read, err := readDashboard(*path)
	if err != nil {
		return err
	}
	end := time.Now().Truncate(time.Second)
	from, err := newSource(*address, window{start: end.Add(-*since), end: end, rate: *rate})
	if err != nil {
		return err
	}
	picture, err := render(ctx, read, from)
	if err != nil {
		return err
	}
	var drawn bytes.Buffer
	if _, err := picture.WriteTo(&drawn); err != nil {
		return fmt.Errorf("drawing the dashboard: %w", err)
	}
	if err := os.WriteFile(*output, withFallbacks(drawn.Bytes()), 0o600); err != nil {
		return fmt.Errorf("writing the picture: %w", err)
	}
	return nil
}

// withFallbacks names fonts with the same widths for viewers that do not have Liberation Sans.
func withFallbacks(picture []byte) []byte {
	return bytes.ReplaceAll(picture, []byte("font-family:Liberation Sans;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
}
