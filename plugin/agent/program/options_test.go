package program_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/agent/program"
)

func TestArgumentsThatDoNotWork(t *testing.T) {
	complete := []string{"--node-name=node-1", "--leader-election-namespace=countersign", "--kubeconfig=/does/not/exist"}
	tests := map[string]struct {
		arguments []string
		code      int
		output    string
	}{
		"help exits with 0":                    {[]string{"--help"}, 0, "-cluster-document"},
		"a node without a name":                {[]string{"--leader-election-namespace=a"}, 2, "--node-name is not set"},
		"a name that no node has":              {[]string{"--node-name=A_b"}, 2, `--node-name "A_b"`},
		"a namespace that nobody says":         {[]string{"--node-name=a"}, 2, "--leader-election-namespace is not set"},
		"a relative path":                      {append(complete, "--directory=policies"), 2, `--directory "policies"`},
		"an argument that is no flag":          {append(complete, "more"), 2, "takes no arguments"},
		"a flag that does not exist":           {append(complete, "--magic"), 2, "magic"},
		"an API server that cannot be reached": {complete, 1, "how to reach the API server"},
	}
	t.Setenv("NODE_NAME", "")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var output bytes.Buffer
			if code := program.Run(t.Context(), test.arguments, &output); code != test.code {
				t.Errorf("the program exits with %d, want %d", code, test.code)
			}
			if !strings.Contains(output.String(), test.output) {
				t.Errorf("it prints %s, want %q", output.String(), test.output)
			}
		})
	}
}
