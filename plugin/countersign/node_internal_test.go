package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatRunsOnANode(t *testing.T) {
	for name, c := range map[string]struct {
		flags          nodeFlags
		withoutSystemd bool
		want           []string
	}{
		"by default":      {want: []string{"install", "doctor --timeout 1m"}},
		"without systemd": {withoutSystemd: true, want: []string{"install --nri-plugin", "doctor --timeout 1m"}},
		"with every flag": {
			flags: nodeFlags{
				mode: "enforce", systemPolicy: "/config/policy.json", skip: []string{"clock", "disk"}, allowSelfLockout: true,
			},
			want: []string{
				"install --mode enforce --allow-self-lockout --system-policy /var/lib/countersign-installer/system.json",
				"doctor --timeout 1m --skip clock,disk",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, command := range installJob(c.flags, !c.withoutSystemd).Commands {
				got = append(got, strings.Join(command.Arguments, " "))
				if command.Failure == "" {
					t.Errorf("%v does not say what its exit status 1 means", command.Arguments)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTheAgentsListOutlivesTheRemoval, because its documents do.
func TestTheAgentsListOutlivesTheRemoval(t *testing.T) {
	commands := uninstallJob().Commands
	if len(commands) != 1 || !cmp.Equal(commands[0].Arguments, []string{"uninstall", "--keep-data"}) {
		t.Errorf("the removal runs %+v", commands)
	}
}

func TestTheNodeCommandsRefuseWhatCannotBeDone(t *testing.T) {
	t.Setenv("NODE_NAME", "")
	for name, c := range map[string]struct {
		arguments []string
		want      string
	}{
		"without the name of the node": {[]string{"node", "install"}, "--node-name is empty"},
		"with an unknown mode":         {[]string{"node", "install", "--node-name", "a", "--mode", "x"}, "is not audit or"},
		"with an argument":             {[]string{"node", "uninstall", "a"}, "takes no argument"},
		"with an unknown command":      {[]string{"node", "instal"}, "did you mean countersign node install?"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := execute(append([]string{"countersign"}, c.arguments...), &stdout, &stderr)
			if status != exitUnknown || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("exit status %d with %q, want an error about %s", status, stderr.String(), c.want)
			}
		})
	}
}
