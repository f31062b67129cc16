// Checks a proof of Casebook with Go's own packages for signed notes and transparency logs, and nothing of Casebook.
//
//	check VKEY PROOF.json [OLD.checkpoint HASH,HASH,…]
//
// With the last two arguments it also checks that the log of the proof begins with that of the old checkpoint.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proof struct {
	Event      string   `json:"event_base64"`
	Position   int64    `json:"position"`
	Inclusion  []string `json:"inclusion"`
	Checkpoint string   `json:"checkpoint"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func hash(text string) tlog.Hash {
	parsed, err := tlog.ParseHash(text)
	must(err)
	return parsed
}

// open reads a checkpoint that the key has signed.
func open(text string, vkey string) (int64, tlog.Hash) {
	verifier, err := note.NewVerifier(vkey)
	must(err)
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		must(fmt.Errorf("the checkpoint is of %s, the key of %s", lines[0], verifier.Name()))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	return size, hash(lines[2])
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	must(err)
	var p proof
	must(json.Unmarshal(text, &p))
	event, err := base64.StdEncoding.DecodeString(p.Event)
	must(err)
	size, root := open(p.Checkpoint, os.Args[1])
	var path tlog.RecordProof
	for _, text := range p.Inclusion {
		path = append(path, hash(text))
	}
	// Go counts from 0.
	must(tlog.CheckRecord(path, size, root, p.Position-1, tlog.RecordHash(event)))
	if len(os.Args) > 3 {
		old, err := os.ReadFile(os.Args[3])
		must(err)
		oldSize, oldRoot := open(string(old), os.Args[1])
		var path tlog.TreeProof
		for _, text := range strings.Split(os.Args[4], ",") {
			path = append(path, hash(text))
		}
		must(tlog.CheckTree(path, size, root, oldSize, oldRoot))
	}
	fmt.Println("proven by other tools:", len(event), "bytes, event", p.Position, "of", size)
}
