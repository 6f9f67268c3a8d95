package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"countersign": main})
}

// TestScripts runs the program as its users do, one script for each thing they might want of it.
func TestScripts(t *testing.T) {
	fixtures, err := filepath.Abs(fixtureDirectory)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("FIXTURES", fixtures)
			return nil
		},
	})
}

// fixtureDirectory has the images and keys that containers/image tests itself with.
const fixtureDirectory = "../../policy/signature/testdata/containers-image"
