package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/doctor"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	config, containerdConfig, output string
	skip                             []string
	noCanaries                       bool
	timeout                          time.Duration
}

func newDoctorCommand(stdout io.Writer) *cobra.Command {
	flags := doctorFlags{}
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Find what disables enforcement on this node, or stops it, and say what to do",
		Long: `doctor checks everything that can silently disable enforcement on this node, or stop the node, and
prints what to do about it. It works while the daemon is down.

To prove that policies are enforced, it creates two containers through containerd's CRI, in a
namespace that Kubernetes does not allow, and removes them: one must be refused, and one must run.

--skip leaves out checks whose answer does not matter on this node; -o json has their names.

Exit status: 0 all is well; 1 something is wrong; 2 something could not be checked.`,
		Example: `  sudo countersign doctor
  countersign doctor --skip clock
  countersign doctor -o json | jq -r '.checks[] | select(.status != "yes") | .check + ": " + .remedy'`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return examine(command.Context(), flags, stdout)
		},
	}
	set := command.Flags()
	set.StringVar(&flags.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVar(&flags.containerdConfig, "containerd-config", "",
		"containerd's configuration `file` (default: the one of the running containerd)")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	set.StringSliceVar(&flags.skip, "skip", nil, "`checks` to leave out")
	set.BoolVar(&flags.noCanaries, "no-canaries", false, "create no containers")
	set.DurationVar(&flags.timeout, "timeout", 10*time.Second, "how long the checks may take")
	return command
}

// validate returns an error about the values of flags.
func (f doctorFlags) validate() error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if f.timeout <= 0 {
		return fmt.Errorf("--timeout %s is not a positive duration", f.timeout)
	}
	var names []string
	for _, check := range doctor.Checks() {
		names = append(names, check.Name)
	}
	for _, name := range f.skip {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--skip %q is not a check; the checks are %s", name, strings.Join(names, ", "))
		}
	}
	for _, path := range []struct{ flag, value string }{
		{"--config", f.config}, {"--containerd-config", f.containerdConfig},
	} {
		if path.value == "" {
			continue
		}
		if _, err := os.Stat(path.value); err != nil {
			return fmt.Errorf("%s: %w", path.flag, err)
		}
	}
	return nil
}

func examine(ctx context.Context, flags doctorFlags, stdout io.Writer) error {
	if err := flags.validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	skip := make(map[string]bool)
	for _, name := range flags.skip {
		skip[name] = true
	}
	checks := doctor.Checks()
	if flags.noCanaries {
		checks = slices.DeleteFunc(checks, func(c doctor.Check) bool { return strings.HasPrefix(c.Name, "canary_") })
	}
	node := doctor.Read(ctx, doctor.Options{
		Config: flags.config, Containerd: flags.containerdConfig, Canaries: !flags.noCanaries,
	})
	results := doctor.Examine(node, checks, skip)
	worst := doctor.Worst(results)
	report := doctor.Report{Version: thisVersion(), Healthy: worst == doctor.Yes, Checks: results}
	if err := writeReport(stdout, report, flags.output); err != nil {
		return err
	}
	switch worst {
	case doctor.Yes:
		return nil
	case doctor.No:
		return &exitError{exitDenied}
	default:
		return &exitError{exitUnknown}
	}
}

func writeReport(stdout io.Writer, report doctor.Report, format string) error {
	if format == "json" {
		return writeJSON(stdout, report)
	}
	return report.Write(stdout, colored(stdout))
}

// colored reports whether output goes to a terminal, and colors are not disabled (https://no-color.org).
func colored(w io.Writer) bool {
	file, isFile := w.(*os.File)
	if !isFile || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
