package files_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

func ExampleOpen() {
	directory, err := os.MkdirTemp("", "policies")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	for name, contents := range map[string]string{"prod.json": "strict", "dev.json": "", "prod.json~": "lax"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(contents), 0o600); err != nil {
			panic(err)
		}
	}
	// Package signature contains the parser of containers-policy.json(5).
	parse := func(raw []byte, _ func(path string) ([]byte, error)) (*policy.Document, error) {
		if len(raw) == 0 {
			return nil, errors.New("it is empty")
		}
		return &policy.Document{Default: []*policy.Requirement{{Kind: policy.Kind(raw)}}}, nil
	}

	set := files.Open(files.Config{
		System: filepath.Join(directory, "nowhere"), Directory: directory, Parse: parse,
	}).Current()
	for _, namespace := range []string{"prod", "dev", "other"} {
		document, err := set.For(namespace)
		if err != nil {
			fmt.Println(namespace, "is denied")
			continue
		}
		fmt.Println(namespace, "asks for", document.Default[0].Kind)
	}
	// Output:
	// prod asks for strict
	// dev is denied
	// other is denied
}
