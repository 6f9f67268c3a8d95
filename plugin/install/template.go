package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
)

// The lines around what is added to a template. They are comments in TOML, and appear in the rendered file too.
const (
	blockBegin = "# countersign install: begin"
	blockEnd   = "# countersign install: end"
)

// base renders the distribution's own configuration.
const base = "{{ template \"base\" . }}\n"

// dropInText returns our drop-in. Its version is that of the main file if that is 2: containerd 2.2 takes the merged
// configuration for one of the highest version, and would ignore the settings that have another name in version 3.
func (r *runtime) dropInText(enforce bool, others []string) ([]byte, error) {
	name := "containerd-audit.toml"
	if enforce {
		name = "containerd.toml"
	}
	text, err := fs.ReadFile(conf.Files(), name)
	if err != nil {
		return nil, err
	}
	text = replaceLine(text, "bin_dir", strconv.Quote(r.config.Verifiers()))
	var main struct{ Version int }
	if err := toml.Unmarshal(r.main, &main); err != nil {
		return nil, err
	}
	if main.Version == 2 {
		text = replaceLine(text, "version", "2")
	}
	quoted := []string{}
	for _, plugin := range append(slices.Clone(others), nri.Name) {
		quoted = append(quoted, strconv.Quote(plugin))
	}
	return replaceLine(text, "required_plugins", "["+strings.Join(quoted, ", ")+"]"), nil
}

// replaceLine replaces the value of a key, which has its own line.
func replaceLine(text []byte, key, value string) []byte {
	line := regexp.MustCompile(`(?m)^( *` + key + ` = ).*$`)
	return line.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(value, "$", "$$")))
}

// withoutBlock removes what was added to a template, or to a file that was rendered from it.
func withoutBlock(text []byte) []byte {
	begin := bytes.Index(text, []byte(blockBegin))
	if begin < 0 {
		return text
	}
	end := bytes.Index(text[begin:], []byte(blockEnd))
	if end < 0 {
		return text
	}
	end = lineEnd(text, begin+end)
	// The empty line above belongs to the block.
	return slices.Concat(bytes.TrimSuffix(text[:begin], []byte("\n")), text[end:])
}

// configureTemplate adds our settings to the template of k3s or RKE2. TOML has each table once, so the configuration
// that the template renders must not have ours yet. It returns what the template will render.
func (r *runtime) configureTemplate(s *settings, text []byte) ([]byte, error) {
	existing, err := r.host.ReadFile(r.template)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		existing = []byte(base)
	case err != nil:
		return nil, err
	}
	existing = endLine(withoutBlock(existing))
	for _, rendered := range [][]byte{withoutBlock(r.main), existing} {
		for _, table := range []string{"io.containerd.nri.v1.nri", "io.containerd.image-verifier.v1.bindir"} {
			if bytes.Contains(rendered, []byte(table)) {
				return nil, fmt.Errorf("the configuration from %s has settings of %s already: add those of "+
					"conf/containerd.toml to the template by hand", r.template, table)
			}
		}
	}
	settings := strings.Replace(string(text), "\nversion = 3\n", "", 1)
	block := "\n" + blockBegin + "\n" + settings + blockEnd + "\n"
	s.dropIn = r.template
	s.files[r.template] = append(existing, block...)
	return append(endLine(withoutBlock(r.main)), block...), nil
}
