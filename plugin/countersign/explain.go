package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	namespace, config, output, auditLog string
}

func newExplainCommand(stdout io.Writer) *cobra.Command {
	flags := explainFlags{}
	command := &cobra.Command{
		Use:   "explain [flags] NAMESPACE/POD[/CONTAINER] | CONTAINER-ID | -n NAMESPACE REFERENCE",
		Short: "Explain why a container is refused or admitted, step by step",
		Long: `explain shows the last decisions about a container, and how the running daemon decides now: the
image and how it is identified, whether the root filesystem is the image's, the document and the
scope that apply, each requirement with each signature and bundle that was tried, and what would make
the image pass.

explain NAMESPACE/POD[/CONTAINER] or explain CONTAINER-ID is about a container that was refused or
runs. explain -n NAMESPACE REFERENCE is about an image on this node. The daemon remembers the last
decisions about each container. After a restart of the daemon, explain reads them from the audit
log: the file of --audit-log, or that of [audit] in config.toml with its rotated files, or the journal
of the systemd unit.

Exit status: 0 admitted; 1 denied; 2 unknown.`,
		Example: `  countersign explain prod/web-5d9c7b6f4-x2x8v
  countersign explain prod/web-5d9c7b6f4-x2x8v/app
  countersign explain 3f2a9c51d07e
  countersign explain -n prod registry.example/app:v1
  countersign explain -o json prod/web-5d9c7b6f4-x2x8v | jq -r .advice`,
		Args: oneSubject,
		RunE: func(command *cobra.Command, args []string) error {
			return explain(command.Context(), flags, args[0], stdout)
		},
	}
	set := command.Flags()
	set.StringVarP(&flags.namespace, "namespace", "n", "", "the `namespace` of a pod that would run REFERENCE")
	set.StringVar(&flags.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	set.StringVar(&flags.auditLog, "audit-log", "",
		"`file` of audit records (default: [audit] file with its rotated files, or the journal)")
	return command
}

func oneSubject(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("explain takes one pod, container ID or image, not %d: countersign explain [flags] "+
			"NAMESPACE/POD[/CONTAINER] | CONTAINER-ID | -n NAMESPACE REFERENCE", len(args))
	}
	return nil
}

func explain(ctx context.Context, flags explainFlags, argument string, stdout io.Writer) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	request, err := explainRequest(flags.namespace, argument)
	if err != nil {
		return err
	}
	config, err := conf.Read(flags.config)
	if err != nil {
		return err
	}
	if request.Reference != "" {
		request.Config, request.Absent = configOnNode(ctx, config, request.Reference)
	}
	log, err := auditSource(auditPlace{config: flags.config, unit: daemonUnit}, flags.auditLog, os.Stdin)
	if err != nil {
		return err
	}
	explained, err := askWhy(ctx, config.Listen.Socket, request, log)
	if err != nil {
		return err
	}
	question := adviceQuestion{image: "containerd", daemonAnswers: true, requirement: explained.Advice}
	explained.Advice = question.advice(policy.Reason(explained.Reason))
	if flags.output == "json" {
		err = writeJSON(stdout, explained)
	} else {
		_, err = io.WriteString(stdout, explanationText(&explained))
	}
	if err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	if code := exitStatus(policy.Reason(explained.Reason)); code != exitAdmitted {
		return &exitError{code}
	}
	return nil
}

// explainRequest parses the argument.
func explainRequest(namespace, argument string) (request daemon.ExplainRequest, err error) {
	if namespace != "" {
		if !policy.ValidNamespace(namespace) {
			return request, fmt.Errorf("--namespace %q is not a DNS label", namespace)
		}
		_, isID := (policy.Question{Reference: argument}).ImageID()
		if _, err := policy.Normalize(argument); err != nil && !isID {
			return request, err
		}
		request.Namespace, request.Reference = namespace, argument
		return request, nil
	}
	if isContainerID(argument) {
		request.ContainerID = argument
		return request, nil
	}
	request.Subject, err = podSubject(argument)
	return request, err
}

// podSubject parses NAMESPACE/POD[/CONTAINER].
func podSubject(argument string) (daemon.Subject, error) {
	parts := strings.Split(argument, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return daemon.Subject{}, fmt.Errorf("%q is neither NAMESPACE/POD[/CONTAINER] nor the ID of a container, in at "+
			"least 8 hexadecimal digits; for an image, add -n NAMESPACE", argument)
	}
	if !policy.ValidNamespace(parts[0]) || slices.Contains(parts, "") {
		return daemon.Subject{}, fmt.Errorf("%q is not NAMESPACE/POD[/CONTAINER]; for an image, add -n NAMESPACE", argument)
	}
	about := daemon.Subject{Namespace: parts[0], Pod: parts[1]}
	if len(parts) == 3 {
		about.Container = parts[2]
	}
	return about, nil
}

// isContainerID reports whether an argument can be the beginning of the ID of a container, as crictl shows it.
func isContainerID(argument string) bool {
	return len(argument) >= 8 && len(argument) <= 64 && strings.Trim(argument, "0123456789abcdef") == ""
}

// configOnNode returns the config digest of the image that a pod with this reference would run, or why it has none.
func configOnNode(ctx context.Context, config *conf.Config, ref string) (found, absent string) {
	connection, err := containerd.Connect(ctx, config.Containerd.Address, config.Containerd.Namespace)
	if err != nil {
		return "", err.Error()
	}
	defer connection.Close()
	resolved, err := resolve(ctx, connection, ref)
	if err != nil {
		return "", err.Error()
	}
	return resolved.String(), ""
}

// askWhy requests the explanation from the daemon. If the daemon remembers no decision about the subject, the question
// is that of the last decision in the audit log.
func askWhy(
	ctx context.Context, socketPath string, request daemon.ExplainRequest, log auditLog,
) (daemon.Explanation, error) {
	client := socket.NewClient(socketPath)
	explained, err := daemon.Explain(ctx, client, request)
	switch failed := (*socket.Error)(nil); {
	case errors.Is(err, fs.ErrPermission):
		return explained, fmt.Errorf("%w; only root may use its socket", err)
	case errors.As(err, &failed) && failed.Status == http.StatusNotFound:
		explained, logged := explainLogged(ctx, client, request, log)
		if logged != nil {
			return explained, fmt.Errorf("%w; %w", err, logged)
		}
		return explained, nil
	case err != nil || request.Reference != "" || len(explained.Decisions) > 0:
		return explained, err
	}
	// It runs, and was created before the daemon started.
	if past, err := loggedDecisions(ctx, log, request.Subject); err == nil && len(past) > 0 {
		explained.Decisions, explained.Source = past, log.name
	}
	return explained, nil
}

// explainLogged requests the explanation of the last decision in the audit log.
func explainLogged(
	ctx context.Context, client *socket.Client, request daemon.ExplainRequest, log auditLog,
) (daemon.Explanation, error) {
	past, err := loggedDecisions(ctx, log, request.Subject)
	if err != nil {
		return daemon.Explanation{}, err
	}
	if len(past) == 0 {
		return daemon.Explanation{}, fmt.Errorf("%s has none either", log.name)
	}
	last, _ := daemon.MostTelling(past)
	request.Subject = daemon.Subject{
		Namespace: last.Namespace, Pod: last.Pod, Container: last.Container, ContainerID: last.ContainerID,
	}
	request.Reference, request.Config = last.Reference, last.ConfigDigest
	explained, err := daemon.Explain(ctx, client, request)
	if err == nil && len(explained.Decisions) == 0 {
		explained.Decisions, explained.Source = past, log.name
	}
	return explained, err
}
