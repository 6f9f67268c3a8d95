package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

const (
	isNot         = `countersign_health_check{check="required",status="no"}`
	isNotRequired = "containerd does not require countersign: containers start unchecked while the daemon is " +
		"not registered"
	optOut = "example.com/opt-out"
)

// notRequired changes containerd's configuration so that it does not require the plugin. The daemon says that
// containers start unchecked while it is not registered, and they do.
func (b *bases) notRequired(t *testing.T) {
	for name, test := range map[string]struct{ dropIn, says string }{
		"it is not in the list": {"  required_plugins = []\n", "without"},
		"the validator is off":  {"  enable = false\n", "do not enable NRI's default_validator"},
		"pods can opt out": {
			"  tolerate_missing_plugins_annotation = '" + optOut + "'\n", "the author of a pod can opt out of required plugins",
		},
	} {
		t.Run(name, func(t *testing.T) {
			said, again := b.more(t, isNotRequired, test.says), b.more(t, registered)
			remove := b.dropIn(t, "99-zz.toml", "[plugins.'io.containerd.nri.v1.nri'.default_validator]\n"+test.dropIn)
			again()
			said()
			b.isGauge(t, isNot, 1)
			// While the daemon is connected, containerd asks it anyway.
			b.others(t)
			rig.OK(t, b.Daemon.Terminate(t.Context()))
			b.startsUnchecked(t)
			said, again = b.more(t, required), b.more(t, registered)
			remove()
			b.Start(t)
			again()
			said()
			b.isGauge(t, isRequired, 1)
			b.others(t)
		})
	}
}

// startsUnchecked runs an image that the policy refuses, in a pod with the annotation that opts out. The annotation
// works only if containerd is configured to obey it.
func (b *bases) startsUnchecked(t *testing.T) {
	t.Helper()
	pod := b.Pod(strict, b.unsigned)
	pod.Pull, pod.Annotations = node.Never, map[string]string{optOut: "true"}
	running, err := b.RunPod(t.Context(), pod)
	if err != nil {
		t.Fatalf("the daemon says that containers start unchecked, and containerd says: %v", err)
	}
	rig.WantMarker(t, running, b.Marker(b.unsigned))
	rig.OK(t, running.Remove(t.Context()))
}

func (b *bases) disabledNRI(t *testing.T) {
	said := b.more(t, isNotRequired, "disable NRI: containers start unchecked")
	remove := b.dropIn(t, "98-off.toml", "[plugins.\"io.containerd.nri.v1.nri\"]\n  disable = true\n")
	rig.Logged(t, b.Daemon, notRegistered, b.NRISocket(), "is NRI enabled in containerd")
	b.isGauge(t, "countersign_nri_registered", 0)
	said()
	b.isGauge(t, isNot, 1)
	b.startsUnchecked(t)
	again := b.more(t, registered)
	remove()
	again()
	b.isGauge(t, isRequired, 1)
	b.others(t)
}

// optsOut runs a pod that opts out of required plugins on a node that does not allow that, while no daemon runs.
func (b *bases) optsOut(t *testing.T) {
	rig.OK(t, b.Daemon.Terminate(t.Context()))
	pod := b.Pod(strict, b.signed)
	pod.Pull, pod.Annotations = node.Never, map[string]string{optOut: "true"}
	running, err := b.RunPod(t.Context(), pod)
	if err == nil {
		rig.OK(t, running.Remove(t.Context()))
	}
	if !isAway(err) {
		t.Errorf("without the daemon, a pod says: %v", err)
	}
	// This is what the check command says.
	output := b.CheckOutput(t, "--namespace", strict, b.signed.Reference)
	if want := "containerd creates no container if it requires countersign"; !strings.Contains(output, want) {
		t.Errorf("check does not say %q: %s", want, output)
	}
	b.Start(t)
	b.others(t)
}
