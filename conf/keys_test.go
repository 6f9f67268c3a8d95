package conf_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/conf"
)

func TestKeysDescribesEveryKey(t *testing.T) {
	keys, err := conf.Keys()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]conf.Key)
	for _, key := range keys {
		byName[key.Name] = key
	}
	text, err := conf.TOML(conf.Default())
	if err != nil {
		t.Fatal(err)
	}
	table, count := "", 0
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "["); ok {
			table = strings.TrimSuffix(name, "]")
			if strings.Contains(table, ".") {
				count++
			}
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		count++
		if got := byName[table+"."+name]; got.Default != value || got.Meaning == "" {
			t.Errorf("%s.%s is %+v, want the default %s", table, name, got, value)
		}
	}
	if count != len(keys) {
		t.Errorf("%d keys are described, and the configuration has %d", len(keys), count)
	}
	if !byName["log.level"].Reloadable || byName["log.format"].Reloadable {
		t.Error("log.level can be reloaded, and log.format cannot")
	}
	if meaning := byName["enforce.namespaces"].Meaning; !strings.HasPrefix(meaning, "Exceptions to mode") {
		t.Errorf("enforce.namespaces means %q", meaning)
	}
}
