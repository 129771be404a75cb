@_exported import Foundation

public class AVAudioSession: NSObject {
    public class var interruptionNotification: Notification.Name { Notification.Name("e") }
}
