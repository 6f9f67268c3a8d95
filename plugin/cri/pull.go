package cri

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/policy"
)

// Pull is a pull that the kubelet requests.
type Pull struct {
	// Reference is the image's, as the kubelet sends it: with a tag or digest, but not normalised.
	Reference string
	// Namespace and Pod are those of the pod that needs the image. They are empty if the request names no pod, like that
	// of crictl pull.
	Namespace, Pod string
	// Credentials are those of the request. They must not be used for another request.
	Credentials Credentials
}

// Credentials are the credentials of a pull, as in the CRI. All fields are empty if it has none.
type Credentials struct {
	Username, Password string
	// IdentityToken is exchanged for an access token.
	IdentityToken string
	// Server is the URL of the registry that they are for. If it is empty, they are for all hosts.
	Server string
}

// For returns the credentials for a host, as containerd would send them: a secret without a username is an identity
// token.
func (c Credentials) For(host string) (username, secret string, err error) {
	if c.Server != "" {
		server, err := url.Parse(c.Server)
		if err != nil {
			return "", "", fmt.Errorf("parsing the server of the credentials: %w", err)
		}
		if server.Host != host {
			return "", "", nil
		}
	}
	if c.Username != "" {
		return c.Username, c.Password, nil
	}
	return "", c.IdentityToken, nil
}

// refusal decides about a pull, and returns the error with which it is refused, or nil. The code is Unknown: with any
// other, the kubelet ignores the reason at the start of the text.
func (p *Proxy) refusal(ctx context.Context, request *frame) error {
	pull, ok := decode(request.data.Materialize())
	if !ok {
		// containerd answers an invalid request.
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout())
	defer cancel()
	var text string
	err := policy.Guard("a decision on a pull of the kubelet", p.config.Panicked, func() error {
		text = p.config.Decide(ctx, pull)
		return nil
	})
	if err != nil || text == "" {
		// The panic was counted. The pull is forwarded, because the policy is enforced when a container is created.
		return nil
	}
	return status.Error(codes.Unknown, text)
}

// decode returns the fields of a PullImageRequest that a decision needs, and false if it cannot be decoded.
func decode(message []byte) (Pull, bool) {
	request := &runtime.PullImageRequest{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(message, request); err != nil {
		return Pull{}, false
	}
	pod := request.GetSandboxConfig().GetMetadata()
	return Pull{
		Reference:   request.GetImage().GetImage(),
		Namespace:   pod.GetNamespace(),
		Pod:         pod.GetName(),
		Credentials: credentials(request.GetAuth()),
	}, true
}

// credentials reads an AuthConfig as containerd does (containerd v2.4.2, internal/cri/server/images, ParseAuth): a
// username, else an identity token, else the base64 form of docker's config.json. containerd ignores CRI's registry
// tokens and pulls without credentials, so they are ignored here too, as is anything that cannot be decoded.
func credentials(auth *runtime.AuthConfig) Credentials {
	server := auth.GetServerAddress()
	switch {
	case auth.GetUsername() != "":
		return Credentials{Username: auth.GetUsername(), Password: auth.GetPassword(), Server: server}
	case auth.GetIdentityToken() != "":
		return Credentials{IdentityToken: auth.GetIdentityToken(), Server: server}
	case auth.GetAuth() != "":
		username, password, ok := decodeAuth(auth.GetAuth())
		if !ok {
			return Credentials{}
		}
		return Credentials{Username: username, Password: password, Server: server}
	default:
		return Credentials{}
	}
}

func decodeAuth(auth string) (username, password string, ok bool) {
	decoded, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		return "", "", false
	}
	username, password, ok = strings.Cut(string(decoded), ":")
	return username, strings.Trim(password, "\x00"), ok
}
