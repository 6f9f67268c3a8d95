// Sbom writes an SPDX document about programs that Go has built: the modules that are linked into them, as the programs
// themselves record them.
package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	version := flag.String("version", "", "version of the release")
	created := flag.Int64("created", 0, "time of the document in seconds since 1970")
	flag.Parse()
	if err := write(os.Stdout, *version, time.Unix(*created, 0), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// document is an SPDX 2.3 document, with the fields that are needed.
type document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []pkg          `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type pkg struct {
	ID       string      `json:"SPDXID"`
	Name     string      `json:"name"`
	Version  string      `json:"versionInfo"`
	Location string      `json:"downloadLocation"`
	Analyzed bool        `json:"filesAnalyzed"`
	License  string      `json:"licenseDeclared"`
	External []reference `json:"externalRefs"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	documentID = "SPDXRef-DOCUMENT"
	ours       = "github.com/countersign/countersign"
	unknown    = "NOASSERTION"
)

// write writes the document about programs, whose directory has the name of the release.
func write(w io.Writer, version string, created time.Time, programs []string) error {
	modules, err := linked(programs)
	if err != nil {
		return err
	}
	name := filepath.Base(filepath.Dir(programs[0]))
	d := document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: name,
		Namespace: "https://" + ours + "/spdx/" + name,
		Creation:  creation{created.UTC().Format(time.RFC3339), []string{"Tool: countersign-sbom"}},
		Packages:  []pkg{newPackage(ours, version, "Apache-2.0")},
	}
	root := d.Packages[0].ID
	d.Relationships = []relationship{{documentID, "DESCRIBES", root}}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		dependency := newPackage(path, modules[path], unknown)
		d.Packages = append(d.Packages, dependency)
		d.Relationships = append(d.Relationships, relationship{root, "DEPENDS_ON", dependency.ID})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(d)
}

// linked returns the version of each module in the programs, and that of Go's standard library. A module in a directory
// of the repository is a part of what the document describes.
func linked(programs []string) (map[string]string, error) {
	if len(programs) == 0 {
		return nil, fmt.Errorf("no program is given")
	}
	modules := map[string]string{}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return nil, err
		}
		modules["stdlib"] = strings.TrimPrefix(info.GoVersion, "go")
		for _, module := range info.Deps {
			if module = cmp.Or(module.Replace, module); module.Version == "(devel)" {
				continue
			}
			modules[module.Path] = module.Version
		}
	}
	return modules, nil
}

func newPackage(name, version, license string) pkg {
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, name)
	return pkg{
		ID: "SPDXRef-" + id, Name: name, Version: version, Location: unknown, License: license,
		External: []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + name + "@" + version}},
	}
}
