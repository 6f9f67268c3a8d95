package compile_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
)

// TestADocumentIsIndentedJSON: its bytes are those that encoding/json writes.
func TestADocumentIsIndentedJSON(t *testing.T) {
	for name, system := range map[string]string{
		"no scopes": acceptAll,
		"scopes": `{"default":[{"type":"reject"}],"transports":{
			"docker":{"quay.io":[{"type":"reject"},{"type":"reject"}]}}}`,
		"no images": `{"default":[{"type":"reject"}],"transports":{"docker":{}}}`,
		"other transports": `{"default":[{"type":"reject"}],"transports":{
			"atomic":{"":[{"type":"reject"}]},"docker-daemon":{"":[{"type":"reject"}]},"zzz":{}}}`,
		"characters of HTML, Unicode and quotation marks": "{\"default\":[ {\"type\" : \"signedBy\",\n\"keyType\":" +
			"\"GPGKeys\",\"keyPath\":\"/<&>\\u2028ü\\\"docker\\\": {}\"}],\"transports\":{\"<docker>\":{}," +
			"\"docker\":{\"a<b>&\\u2028\\\"\\\\ü\":[{\"type\":\"reject\"}]}}}",
	} {
		t.Run(name, func(t *testing.T) {
			policies := layers{
				system: system, cluster: []v1alpha1.ClusterImagePolicy{cluster("c", spec(root(v1alpha1.RejectType), "docker.io"))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("n", spec(signed(newKey(t)), "corp.example/a", "corp.example/b"))},
			}
			ofCluster, ofNamespace := policies.compile(t)
			for _, document := range [][]byte{ofCluster.JSON, ofNamespace.JSON} {
				var parsed struct {
					Default    []json.RawMessage                       `json:"default"`
					Transports map[string]map[string][]json.RawMessage `json:"transports"`
				}
				if err := json.Unmarshal(document, &parsed); err != nil {
					t.Fatalf("%v\n%s", err, document)
				}
				var want bytes.Buffer
				encoder := json.NewEncoder(&want)
				encoder.SetEscapeHTML(false)
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(parsed); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want.String(), string(document)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}
