package monitoring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// directory has what is tested.
const directory = "../../conf/monitoring"

// programs builds Prometheus and promtool, without the service discoveries that no test uses.
func programs(t *testing.T) *node.Tools {
	t.Helper()
	const module, of = "integration/tools/prometheus", "github.com/prometheus/prometheus/cmd/"
	return rig.Must(node.BuildPrograms(t.Context(), []node.Recipe{
		{Name: "prometheus", Package: of + "prometheus", Module: module, Tags: "remove_all_sd"},
		{Name: "promtool", Package: of + "promtool", Module: module, Tags: "remove_all_sd"},
	}, os.Stderr))(t)
}

// prometheus is a running server.
type prometheus struct{ address string }

// startPrometheus starts a server with the rules, which scrapes one target each second, until the test ends.
func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	path := t.TempDir()
	rules := rig.Must(filepath.Abs(filepath.Join(directory, "rules.yaml")))(t)
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - {job_name: countersign, static_configs: [{targets: [%q], labels: {instance: node-1}}]}
`, rules, target)
	rig.OK(t, os.WriteFile(filepath.Join(path, "prometheus.yml"), []byte(config), 0o600))
	log := rig.Must(os.Create(filepath.Join(path, "log")))(t)
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, programs(t).Path("prometheus"), "--web.listen-address=127.0.0.1:0",
		"--config.file="+filepath.Join(path, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(path, "data"),
		"--log.format=json")
	command.Stdout, command.Stderr = log, log
	rig.OK(t, command.Start())
	t.Cleanup(func() { stop(); _ = command.Wait(); _ = log.Close() })
	p := &prometheus{}
	rig.Eventually(t, "Prometheus to listen", func() error {
		raw, err := os.ReadFile(log.Name())
		if err != nil {
			return err
		}
		if p.address = listening(raw); p.address == "" {
			return fmt.Errorf("its log is %s", raw)
		}
		return nil
	})
	return p
}

// listening returns the address at which Prometheus listens according to its log.
func listening(log []byte) string {
	for line := range bytes.Lines(log) {
		var record struct{ Msg, Address string }
		if json.Unmarshal(line, &record) == nil && record.Msg == "Listening on" {
			return record.Address
		}
	}
	return ""
}

// get calls Prometheus's API, and decodes the data of the answer.
func get[T any](ctx context.Context, p *prometheus, path string, parameters url.Values) (data T, err error) {
	address := "http://" + p.address + "/api/v1/" + path + "?" + parameters.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return data, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return data, err
	}
	defer answer.Body.Close()
	var body struct {
		Data  T
		Error string
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return data, fmt.Errorf("%s: %s: %w", path, answer.Status, err)
	}
	if answer.StatusCode != http.StatusOK {
		return data, fmt.Errorf("%s: %s: %s", path, answer.Status, body.Error)
	}
	return body.Data, nil
}

// series is one series of a result.
type series struct {
	Metric map[string]string
	Value  [2]any
}

// query evaluates an expression now.
func (p *prometheus) query(ctx context.Context, expression string) ([]series, error) {
	data, err := get[struct{ Result []series }](ctx, p, "query", url.Values{"query": {expression}})
	return data.Result, err
}

// selectors returns the vector selectors in an expression, as PromQL.
func (p *prometheus) selectors(ctx context.Context, expression string) ([]string, error) {
	tree, err := get[any](ctx, p, "parse_query", url.Values{"query": {expression}})
	var found []string
	collect(tree, &found)
	return found, err
}

// collect adds the selectors below a node of the tree that parse_query returns.
func collect(tree any, found *[]string) {
	switch tree := tree.(type) {
	case []any:
		for _, child := range tree {
			collect(child, found)
		}
	case map[string]any:
		matchers, isSelector := tree["matchers"].([]any)
		if isSelector {
			*found = append(*found, selector(matchers))
		}
		for _, child := range tree {
			collect(child, found)
		}
	}
}

func selector(matchers []any) string {
	var list []string
	for _, matcher := range matchers {
		of, _ := matcher.(map[string]any)
		list = append(list, fmt.Sprintf("%s%s%q", of["name"], of["type"], of["value"]))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// alerts returns the names of the alerts that are pending or fire.
func (p *prometheus) alerts(ctx context.Context) (map[string]bool, error) {
	data, err := get[struct {
		Alerts []struct{ Labels map[string]string }
	}](ctx, p, "alerts", nil)
	names := make(map[string]bool)
	for _, alert := range data.Alerts {
		names[alert.Labels["alertname"]] = true
	}
	return names, err
}
