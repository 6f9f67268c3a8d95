package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
)

func (e *evidenceCommand) newList() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "list [REFERENCE|DIGEST...]",
		Short: "List stored signatures and bundles",
		Long: `list shows the manifests and indexes of which signatures and bundles are stored, and their
repositories. It compares every file with its hash; damaged evidence is marked, and is fetched again.

Without arguments, list shows everything. A name without a tag selects its whole repository, and a
name with a tag selects the image that has the tag on this node.`,
		Example: `  countersign evidence list
  countersign evidence list registry.example/app registry.example/web:v1
  countersign evidence list -o json | jq -r '.[] | select(.outcome == "none") | .manifest'`,
		RunE: func(command *cobra.Command, arguments []string) error {
			return e.list(command.Context(), arguments, output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

func (e *evidenceCommand) list(ctx context.Context, arguments []string, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	picked, err := e.pick(ctx, arguments)
	if err != nil {
		return err
	}
	rows := make([]listed, 0, len(picked))
	for _, stored := range picked {
		rows = append(rows, listedFrom(stored))
	}
	if output == "json" {
		return writeJSON(e.stdout, rows)
	}
	return writeRows(e.stdout, rows)
}

// pick returns the evidence that the arguments select.
func (e *evidenceCommand) pick(ctx context.Context, arguments []string) ([]store.Info, error) {
	config, err := e.config()
	if err != nil {
		return nil, err
	}
	stored, err := store.List(config.Evidence.Directory)
	if err != nil {
		return nil, err
	}
	return pick(ctx, stored, arguments, fromNode(config))
}

// listed is one line of list. Its JSON is a public interface.
type listed struct {
	Repository string `json:"repository"`
	Manifest   string `json:"manifest"`
	// Outcome is "found", "none" or "damaged".
	Outcome    string `json:"outcome"`
	Signatures int    `json:"signatures"`
	Bundles    int    `json:"bundles"`
	// Attestations are those that some document needs.
	Attestations int            `json:"attestations,omitempty"`
	Imported     int            `json:"imported"`
	Satisfied    int            `json:"satisfied"`
	Size         int64          `json:"size"`
	Fetched      string         `json:"fetched,omitempty"`
	ImportedAt   string         `json:"imported_at,omitempty"`
	Absent       string         `json:"absent_since,omitempty"`
	Sources      []listedSource `json:"sources,omitempty"`
	Detail       string         `json:"detail,omitempty"`
	Directory    string         `json:"directory,omitempty"`
}

type listedSource struct {
	Reference string `json:"reference"`
	Host      string `json:"host"`
}

func listedFrom(s store.Info) listed {
	l := listed{
		Repository: s.Repository, Manifest: s.Manifest.String(), Outcome: "none",
		Signatures: s.Signatures, Bundles: s.Bundles, Attestations: s.Attestations,
		Imported: s.Imported, Satisfied: s.Satisfied, Size: s.Size,
		Fetched: formatTime(s.Fetched), ImportedAt: formatTime(s.ImportedAt), Absent: formatTime(s.AbsentSince),
		Detail: s.Detail, Directory: s.Directory,
	}
	for _, source := range s.Sources {
		l.Sources = append(l.Sources, listedSource(source))
	}
	switch {
	case s.Damage != nil:
		l.Outcome, l.Detail = "damaged", s.Damage.Error()
	case s.State == policy.Found:
		l.Outcome = "found"
	}
	return l
}

// note describes what is unusual about a line.
func (l *listed) note() string {
	switch {
	case l.Outcome == "damaged":
		return "damaged: " + l.Detail
	case l.Imported > 0:
		return fmt.Sprintf("%d imported", l.Imported)
	case l.Attestations > 0:
		return "and " + count(l.Attestations, "attestation")
	case l.Absent != "":
		return "not on this node since " + l.Absent
	default:
		return l.Detail
	}
}

func writeRows(to io.Writer, rows []listed) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(to, "no evidence is stored")
		return err
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REPOSITORY\tMANIFEST\tSIGNATURES\tBUNDLES\tBYTES\tFETCHED\tNOTE")
	for _, l := range rows {
		repository, fetched := l.Repository, l.Fetched
		if repository == "" {
			repository = "?"
		}
		if fetched == "" {
			fetched = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n",
			repository, l.Manifest, l.Signatures, l.Bundles, l.Size, fetched, l.note())
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

func writeJSON(to io.Writer, value any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
