package systemd_test

// signing are the commands of those who release and sign.
func signing() []phase {
	const key = "cosign sign --key cosign.key "
	return []phase{{name: "signing", lines: []documented{
		{line: "cosign generate-key-pair", after: "test -s cosign.key && test -s cosign.pub"},
		{line: "cosign signing-config create --out no-services.json", after: "test -s no-services.json"},
		{
			line:  key + "--signing-config no-services.json -a docker-reference=$REPOSITORY $REPOSITORY@sha256:…",
			after: "countersign policy show-signers " + app,
		},
		{line: key + "-a docker-reference=$REPOSITORY $REPOSITORY@sha256:…"},
		{line: key + "-a docker-reference=$REPOSITORY $REPOSITORY@$DIGEST"},
		{
			line:  "cosign attest --key cosign.key --type slsaprovenance1 --predicate provenance.json $REPOSITORY@sha256:…",
			after: "countersign policy show-signers " + app + " | grep https://slsa.dev/provenance/v1",
		},
		{
			line:   "countersign policy show-signers ghcr.io/org/app:v1",
			before: "cosign sign --key cosign.key ghcr.io/org/app@$(/opt/tools/crane digest " + public + ")",
			says:   []string{"  key:         sha256:"},
		},
		{line: "countersign policy show-signers --as-policy ghcr.io/org/app:v1", says: []string{`"sigstoreSigned"`}},
		{
			line: "cosign verify-blob --key countersign.pub --bundle SHA256SUMS.sigstore.json --insecure-ignore-tlog SHA256SUMS",
			before: "sha256sum bin/countersign >SHA256SUMS && cp cosign.pub countersign.pub && " +
				"cosign sign-blob --key cosign.key --bundle SHA256SUMS.sigstore.json SHA256SUMS",
			says: []string{"Verified OK"},
		},
		{line: "sha256sum --check --ignore-missing SHA256SUMS", says: []string{"bin/countersign: OK"}},
		{
			line: "jq -r '.certificateAuthorities[].certChain.certificates[].rawBytes' root.json | " +
				`while read -r der; do echo "$der" | base64 -d | openssl x509 -inform DER; done > fulcio.pem`,
			before: "cosign trusted-root create --out root.json --fulcio url=https://fulcio.sigstore.dev," +
				"certificate-chain=/etc/registry.pem --rekor url=https://rekor.sigstore.dev," +
				"public-key=cosign.pub,start-time=2024-01-01T00:00:00Z",
			after: "cmp fulcio.pem /etc/registry.pem",
		},
		{
			line: `jq -r '.tlogs[] | select(.baseUrl == "https://rekor.sigstore.dev") | .publicKey.rawBytes' root.json | ` +
				"base64 -d | openssl pkey -pubin -inform DER > rekor.pub",
			after: "cmp rekor.pub cosign.pub",
		},
		{
			line:   "countersign policy show-signers --trusted-root trusted_root.json ghcr.io/org/app:v1",
			before: "cp root.json trusted_root.json", says: []string{"  key:         sha256:"},
		},
		{
			line: "openssl pkey -pubin -in cosign.pub -outform DER | sha256sum", says: []string{"  -"},
			after: "countersign policy show-signers " + public + " | " +
				"grep sha256:$(openssl pkey -pubin -in cosign.pub -outform DER | sha256sum | cut -d' ' -f1)",
		},
	}}}
}

// installing are the commands that install the program on a node with systemd.
func installing() []phase {
	return []phase{{name: "installing", lines: []documented{
		{
			line: "countersign install --dry-run", says: []string{"/etc/countersign/config.toml"},
			after: "test ! -e /etc/countersign",
		},
		{line: "countersign install", says: []string{"audit mode"}},
		{line: "sudo countersign install", says: []string{"nothing to change"}},
		{
			line: "countersign status", before: "countersign status --wait",
			says: []string{"registered     yes", "mode           audit"},
		},
		{line: "countersign doctor", status: 2, says: []string{"unknown  clock", "yes      canary_refused"}},
		{
			line:   "sudo cp /etc/countersign/examples/prod.json /etc/countersign/policies/prod.json",
			before: "install -m 0644 cosign.pub /etc/countersign/keys/prod.pub",
		},
		{line: "countersign install --mode enforce", says: []string{"enforce mode"}},
		{line: "sudo countersign install --mode enforce", says: []string{"nothing to change"}},
	}}}
}

// removing are the commands that switch the program off, and remove it.
func removing() []phase {
	return []phase{{name: "removing", lines: []documented{
		{
			line:  "countersign uninstall --now",
			after: "! systemctl is-active countersign && ! test -e /etc/containerd/conf.d/99-countersign.toml",
		},
		{
			line: "countersign install --nri-plugin", before: "countersign install", says: []string{"enforce mode"},
			after: "test -e /opt/nri/plugins/10-countersign && countersign doctor --skip clock",
		},
		{line: "kill -HUP $(cat /run/countersign/supervisor.lock)"},
		{
			line:   "kill $(cat /run/countersign/daemon.lock)",
			before: "cat /run/countersign/daemon.lock >daemon",
			after:  "! cmp -s daemon /run/countersign/daemon.lock && countersign status",
		},
		{line: "countersign uninstall", after: "test -e /etc/countersign/policies/prod.json"},
		{line: "countersign uninstall --purge", before: "countersign install", after: "test ! -e /etc/countersign"},
	}}}
}

// byHand are the commands that do without install and uninstall what they do.
func byHand() []phase {
	const (
		dropIn   = "/etc/containerd/conf.d/99-countersign.toml"
		verifier = "/opt/containerd/image-verifier/bin/countersign-verifier"
	)
	return []phase{{name: "by hand", lines: []documented{
		{
			line: "install -m 0755 bin/countersign /usr/local/bin/countersign", before: "rm /usr/bin/countersign*",
			after: "countersign version",
		},
		{line: "install -d -m 0755 /etc/countersign/policies /etc/countersign/keys /etc/containerd/conf.d"},
		{line: "install -m 0644 conf/config.toml /etc/countersign/config.toml"},
		{
			line:   "install -m 0644 conf/policies/system.json /etc/countersign/system.json",
			before: `sed -i 's|^system = .*|system = "/etc/countersign/system.json"|' /etc/countersign/config.toml`,
		},
		{line: "install -m 0644 cosign.pub /etc/countersign/keys/prod.pub"},
		{
			line:  "install -m 0644 conf/policies/prod.json /etc/countersign/policies/prod.json",
			after: "countersign config check",
		},
		{
			line: "countersign check -n prod --image registry registry.example/prod/app:v1", says: []string{"accepted"},
		},
		{line: "install -m 0644 conf/countersign.service /etc/systemd/system/"},
		{line: "systemctl daemon-reload && systemctl enable --now countersign"},
		{line: "curl -s 127.0.0.1:9470/healthz", says: []string{"registered"}},
		{line: "install -m 0644 conf/containerd.toml " + dropIn + " && systemctl restart containerd"},
		{
			line:  "install -D -m 0755 bin/countersign-verifier " + verifier,
			after: "countersign doctor --skip clock",
		},
		{
			line:   "install -m 0644 conf/countersign-cri.socket /etc/systemd/system/",
			before: `sed -i 's|^socket = ""|socket = "/run/countersign/cri.sock"|' /etc/countersign/config.toml`,
		},
		{line: "systemctl daemon-reload"},
		{line: "systemctl stop countersign"},
		{line: "systemctl enable --now countersign-cri.socket"},
		{line: "systemctl start countersign", after: "test -S /run/countersign/cri.sock && countersign doctor --skip clock"},
		{line: "rm -f " + dropIn + " " + verifier},
		{line: "systemctl restart containerd"},
		{line: "systemctl disable --now countersign", after: "! systemctl is-active countersign"},
		{line: "rm -f /etc/systemd/system/countersign.service /usr/local/bin/countersign && systemctl daemon-reload"},
		{line: "rm -rf /var/lib/countersign /etc/countersign"},
	}}}
}
