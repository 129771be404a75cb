package bionic;

import com.github.unidbg.AndroidEmulator;
import com.github.unidbg.linux.android.AndroidEmulatorBuilder;
import com.github.unidbg.linux.android.AndroidResolver;
import com.github.unidbg.linux.android.dvm.AbstractJni;
import com.github.unidbg.linux.android.dvm.BaseVM;
import com.github.unidbg.linux.android.dvm.DalvikModule;
import com.github.unidbg.linux.android.dvm.DvmClass;
import com.github.unidbg.linux.android.dvm.DvmObject;
import com.github.unidbg.linux.android.dvm.StringObject;
import com.github.unidbg.linux.android.dvm.VM;
import com.github.unidbg.linux.android.dvm.VaList;
import com.github.unidbg.linux.android.dvm.array.ArrayObject;
import java.io.File;

/** Loads the library, registers its methods, and calls some: Bionic LIBRARY VERSION. */
public final class Bionic {
    private Bionic() {}

    /** What jni asks of Java beside our classes. */
    private static final class Java extends AbstractJni {
        @Override
        public DvmObject<?> callStaticObjectMethodV(BaseVM vm, DvmClass of, String method, VaList list) {
            if (method.equals("java/lang/Thread->currentThread()Ljava/lang/Thread;")) {
                return of.newObject(Thread.currentThread());
            }
            return super.callStaticObjectMethodV(vm, of, method, list);
        }

        @Override
        public DvmObject<?> callObjectMethodV(BaseVM vm, DvmObject<?> of, String method, VaList list) {
            if (method.equals("java/lang/Thread->getContextClassLoader()Ljava/lang/ClassLoader;")) return null;
            return super.callObjectMethodV(vm, of, method, list);
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (AndroidEmulator emulator = AndroidEmulatorBuilder.for64Bit().setProcessName("org.openrtmp").build()) {
            emulator.getMemory().setLibraryResolver(new AndroidResolver(23));
            VM vm = emulator.createDalvikVM();
            vm.setJni(new Java());
            vm.setVerbose(false);
            DalvikModule library = vm.loadLibrary(new File(arguments[0]), true);
            library.callJNI_OnLoad(emulator);
            DvmClass methods = vm.resolveClass("org/openrtmp/Native");
            String version = methods.callStaticJniMethodObject(emulator, "version()Ljava/lang/String;").getValue().toString();
            check(version.equals(arguments[1]), "its version is " + version);

            // Settings are read, checked, changed and written.
            StringObject[] steps = new StringObject[6];
            String[] words = {"set", "limits.connections", "7", "json", "{\"streams\": {\"republish_grace\": \"3s\"}}", ""};
            for (int at = 0; at < steps.length; at++) steps[at] = new StringObject(vm, words[at]);
            DvmObject<?> callbacks = vm.resolveClass("org/openrtmp/ServerCallbacks").newObject(null);
            long server = methods.callStaticJniMethodLong(
                emulator, "serverNew(Z[Ljava/lang/String;Ljava/lang/Object;Z)J", true, new ArrayObject(steps), callbacks, false);
            check(server == 1, "the server is " + server);
            String setting = methods.callStaticJniMethodObject(
                emulator, "serverConfig(JLjava/lang/String;)Ljava/lang/String;", server,
                new StringObject(vm, "limits.connections")).getValue().toString();
            check(setting.equals("7"), "the setting is " + setting);
            int state = methods.callStaticJniMethodInt(emulator, "serverState(J)I", server);
            check(state == 0, "its state is " + state);

            methods.callStaticJniMethod(emulator, "serverClose(J)V", server);
            System.out.println("loaded, and called, on an Android's C library: " + version);
        }
    }

    private static void check(boolean isRight, String wrong) {
        if (!isRight) throw new IllegalStateException(wrong);
    }
}
