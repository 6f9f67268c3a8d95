package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
)

const referencePage = "../../docs/reference.md"

// generated are the parts of docs/reference.md that are made from the code, by the name in their markers.
func generated(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"configuration": configurationTable(t), "metrics": metricsTable(t), "audit": auditTables(),
		"exit statuses": exitTable(), "socket": socketTables(),
	}
}

// TestTheReferenceIsGenerated compares the page with the code. With COUNTERSIGN_UPDATE=1 it writes the page:
// make reference.
func TestTheReferenceIsGenerated(t *testing.T) {
	raw, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	want := string(raw)
	for name, text := range generated(t) {
		begin, end := fmt.Sprintf("<!-- generated: %s -->\n", name), "<!-- end -->\n"
		before, rest, found := strings.Cut(want, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has no part %q between %sand %s", referencePage, name, begin, end)
		}
		want = before + begin + "\n" + text + "\n" + end + after
	}
	if os.Getenv("COUNTERSIGN_UPDATE") != "" {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil { //nolint:gosec // It is documentation.
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("run make reference (-code +page):\n%s", diff)
	}
}

// table returns a table of Markdown.
func table(header []string, rows [][]string) string {
	var text strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	line(header)
	text.WriteString(strings.Repeat("|---", len(header)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return text.String()
}

func configurationTable(t *testing.T) string {
	t.Helper()
	keys, err := conf.Keys()
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, key := range keys {
		initial, reload := "", "restart"
		if key.Default != "" {
			initial = "`" + key.Default + "`"
		}
		if key.Reloadable {
			reload = "reload"
		}
		rows = append(rows, []string{"`" + key.Name + "`", initial, reload, key.Meaning})
	}
	return table([]string{"key", "default", "a change needs", "meaning"}, rows)
}

func metricsTable(t *testing.T) string {
	t.Helper()
	m := metrics.New(nil)
	m.Enforcing(true, nil)
	m.Panicked("a part")
	m.Register(metrics.Gauges{PolicyGood: time.Now, EvidenceBytes: func() int64 { return 1 }})
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "countersign_") {
			continue
		}
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+label.GetName()+"`")
		}
		kind := strings.ToLower(family.GetType().String())
		rows = append(rows, []string{"`" + family.GetName() + "`", kind, strings.Join(labels, ", "), family.GetHelp()})
	}
	return table([]string{"metric", "type", "labels", "meaning"}, rows)
}

func auditTables() string {
	var parts []string
	for _, kind := range audit.Schema() {
		var rows [][]string
		for _, key := range kind.Keys {
			rows = append(rows, []string{"`" + key.Name + "`", key.Type, key.Meaning})
		}
		parts = append(parts, fmt.Sprintf("The record of a %s (`\"msg\":\"%s\"`), schema %d:\n\n%s",
			kind.Message, kind.Message, audit.SchemaVersion, table([]string{"key", "type", "meaning"}, rows)))
	}
	return strings.Join(parts, "\n")
}

// exitTable lists what the help of each command says about its exit status.
func exitTable() string {
	stated := regexp.MustCompile(`(?s)Exit status: (.*?)\n*$`)
	var rows [][]string
	var walk func(*cobra.Command)
	walk = func(command *cobra.Command) {
		for _, child := range command.Commands() {
			walk(child)
		}
		if match := stated.FindStringSubmatch(command.Long); match != nil {
			text := strings.Join(strings.Fields(match[1]), " ")
			rows = append(rows, []string{"`" + command.CommandPath() + "`", text})
		}
	}
	walk(newCommand(io.Discard, io.Discard))
	return table([]string{"command", "exit status"}, rows)
}

func socketTables() string {
	var parts []string
	for _, endpoint := range daemon.Endpoints() {
		text := fmt.Sprintf("`POST %s`: %s\n\n", endpoint.Path, endpoint.Meaning)
		rows := append(members("request", endpoint.Request), members("answer", endpoint.Answer)...)
		if len(rows) > 0 {
			text += table([]string{"in", "member", "type"}, rows)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "\n")
}

// members returns the members of a message in JSON, those of inner objects with their path.
func members(in string, message any) (rows [][]string) {
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" || !field.IsExported() {
				continue
			}
			if field.Anonymous && name == "" {
				walk(prefix, structOf(field.Type))
				continue
			}
			rows = append(rows, []string{in, "`" + prefix + name + "`", jsonType(field.Type)})
			if inner := structOf(field.Type); inner != nil {
				separator := "."
				if field.Type.Kind() == reflect.Slice {
					separator = "[]."
				}
				walk(prefix+name+separator, inner)
			}
		}
	}
	if of := structOf(reflect.TypeOf(message)); of != nil {
		walk("", of)
	}
	return rows
}

// structOf returns the struct of which a type is, a pointer to or a list; nil: none that JSON writes as an object.
func structOf(of reflect.Type) reflect.Type {
	for of != nil && (of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice) {
		of = of.Elem()
	}
	if of == nil || of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return nil
	}
	return of
}

func jsonType(of reflect.Type) string {
	if of == reflect.TypeFor[json.RawMessage]() {
		return "object"
	}
	switch of.Kind() {
	case reflect.Pointer:
		return jsonType(of.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return "string (base64)"
		}
		return "list of " + jsonType(of.Elem())
	case reflect.Map:
		return "object of " + jsonType(of.Elem())
	case reflect.Struct:
		if of == reflect.TypeFor[time.Time]() {
			return "string (RFC 3339)"
		}
		return "object"
	default:
		return "number"
	}
}
