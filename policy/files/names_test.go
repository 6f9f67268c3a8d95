package files_test

import (
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

// TestNamesThatWereMeantForDocuments cause a warning; names of files of editors and tools do not.
func TestNamesThatWereMeantForDocuments(t *testing.T) {
	t.Parallel()
	warned := []string{
		"prod.yaml", "prod.yml", "prod.YAML", "prod.JSON", "prod.Json", "prod.json.txt", "prod.jsonc", "prod.json5",
		"Prod.json", "a.prod.json", "prod_1.json", "-prod.json",
	}
	quiet := []string{
		"prod.json~", ".prod.json.swp", ".prod.json", ".#prod.json", "#prod.json#", "4913", "prod.json.bak",
		"prod.json.orig", "prod.json.rpmnew", "prod.json.rpmsave", "prod.json.dpkg-old", "prod.json.dpkg-dist",
		"prod.json.tmp", "prod.json.swp", "prod.json.new", ".prod.yaml", "README.md", "Makefile",
	}
	n := newNode(t, map[string]string{
		"system.json": system, "policies/team/prod.json": strict, "policies/..2026_11/prod.json": strict,
		"policies/notes/README": "",
	})
	for _, name := range append(warned, quiet...) {
		n.write("policies/"+name, strict)
	}
	files.Open(n.config)
	for _, name := range append(warned, "team/") {
		n.logged(1, `"WARN"`, `"not a policy: `, `"name":"`+name+`"`, "NAMESPACE.json")
	}
	n.logged(len(warned)+1, "not a policy")
}

func TestAMisnamedFileThatComesLater(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system}).run()
	n.write("policies/prod.yaml", strict)
	n.write("policies/dev.json", lax)
	n.until("dev", "lax")
	n.logged(1, "does not end in .json", "prod.yaml")
}

// TestWarningsAboutADocument are logged when it is loaded, with the document and the scope.
func TestWarningsAboutADocument(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict})
	n.config.Parse = func(raw []byte, read func(string) ([]byte, error)) (*policy.Document, error) {
		document, err := n.parser.parse(raw, read)
		if err == nil && document.Default[0].Kind == "strict" {
			document.Dead = map[string]*policy.DeadScope{"nginx": policy.CheckScope("nginx")}
		}
		return document, err
	}
	files.Open(n.config)
	n.logged(1, `"WARN"`, "policies/prod.json", `"scope":"nginx"`, "docker.io/library/nginx")
}

func TestSinceWhenAnEarlierVersionIsInForce(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict}).run()
	n.put("policies/prod.json", "{")
	n.problem("unexpected EOF")
	first := n.documents.Status().Problems[0]
	if !first.Kept || first.KeptSince.IsZero() {
		t.Fatalf("no time since when an earlier version is in force: %+v", first)
	}
	n.put("policies/prod.json", "[]")
	n.problem("cannot unmarshal array")
	if again := n.documents.Status().Problems[0]; !again.KeptSince.Equal(first.KeptSince) {
		t.Errorf("it is another time now: %s, then %s", first.KeptSince, again.KeptSince)
	}
	n.put("policies/prod.json", strict)
	n.problem("")
}
