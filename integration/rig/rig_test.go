package rig_test

import (
	"errors"
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

func TestARefusalIsKnownByItsBeginningAndItsReason(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		reason string
		want   bool
	}{
		"no error":                       {nil, "unsigned", false},
		"no reason is expected":          {errors.New("SignatureValidationFailed: nobody signed it"), "", false},
		"by another":                     {errors.New("no such image (unsigned)"), "unsigned", false},
		"for another reason":             {errors.New("SignatureValidationFailed: no (rejected)"), "unsigned", false},
		"the reason is in the middle":    {errors.New("SignatureValidationFailed: (unsigned) no"), "unsigned", false},
		"the reason ends as another":     {errors.New("SignatureValidationFailed: no (not-unsigned)"), "unsigned", false},
		"for that reason":                {errors.New("SignatureValidationFailed: no (unsigned)"), "unsigned", true},
		"for that, as containerd has it": {errors.New("NRI: SignatureValidationFailed: no (unsigned)"), "unsigned", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rig.IsRefused(test.err, test.reason); got != test.want {
				t.Errorf("it is %v", got)
			}
		})
	}
}

func TestARecordSaysWordsInOneLine(t *testing.T) {
	for name, test := range map[string]struct {
		detail string
		words  []string
		want   bool
	}{
		"no words":                {"nobody signed it", nil, true},
		"words of a value":        {"nobody signed it", []string{"signed it"}, true},
		"words of several values": {"nobody signed it", []string{"nobody", "count:2"}, true},
		"of which one is missing": {"nobody signed it", []string{"nobody", "everybody"}, false},
		"in two lines":            {"nobody\nsigned it", []string{"nobody"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rig.Says(map[string]any{"detail": test.detail, "count": 2}, test.words...); got != test.want {
				t.Errorf("it is %v", got)
			}
		})
	}
}
